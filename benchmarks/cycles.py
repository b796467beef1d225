"""The full fair cycle as a load: claim → begin → fenced finish with its outcome → ingest, by several processes.

Every step is the product's own function on real tables; only the agent's work between begin and finish is left
out, so that the figure is what the product adds to a run.
"""

from __future__ import annotations

import multiprocessing
import time
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from lealife.core.actors import command_line
from lealife.pipeline.ingestion import ingest_next
from learning.ingest import ingest_outcome, lock_waiting_outcome
from training.claims import claim_next_source
from training.models import Host, TrainingSource
from training.models.sources import queue_rank
from training.results import Result
from training.runs import finish_run
from training.runtime_settings import apply_settings

HOSTS = 100
# The digests that the model server is said to have answered with: of the controller and of the task model.
SERVED = ("sha256:c", "sha256:t")
_processes = multiprocessing.get_context("fork")


def prepare_cycles() -> None:
    """Hosts to train on, and slots enough that none is waited for."""
    Host.objects.bulk_create(
        Host(name=f"bench-{number}", base_url=f"http://127.0.0.1:9/{number}/", seed_curriculum=False)
        for number in range(HOSTS)
    )
    slots = {"global_max_concurrent_runs": 1000, "training_max_active_runs": 1000, "reserved_control_slots": 0}
    apply_settings(changes=slots, version=None, by=command_line("bench"), origin="cli")


def queue_sources(count: int) -> None:
    """Queues `count` sources, evenly over the hosts."""
    now = timezone.now()
    hosts = list(Host.objects.filter(name__startswith="bench-").order_by("id"))
    TrainingSource.objects.bulk_create(
        (
            TrainingSource(
                title=f"source {number}",
                prompt="Which page says so?",
                host=hosts[number % len(hosts)],
                queued_from="bench",
                queue_rank=queue_rank(queued_at=now + timedelta(microseconds=number), priority=0),
            )
            for number in range(count)
        ),
        batch_size=2_000,
    )


def measure_cycles(*, count: int, workers: int) -> float:
    """Queues `count` sources and has `workers` processes take them through; cycles a second, start-up left out."""
    queue_sources(count)
    connection.close()
    ready, ended = _processes.Barrier(workers + 1), _processes.Queue()
    children = [
        _processes.Process(target=_work, args=(f"bench-{number}", ready, ended), daemon=True)
        for number in range(workers)
    ]
    for child in children:
        child.start()
    ready.wait(60)
    started = time.monotonic()
    done = sum(ended.get(timeout=600) for _ in children)
    seconds = time.monotonic() - started
    for child in children:
        child.join(60)
    if done != count:
        raise RuntimeError(f"{done} of {count} cycles were finished.")
    return done / seconds


def _work(worker: str, ready: Any, ended: Any) -> None:
    connection.ensure_connection()
    ready.wait(60)
    done = 0
    while run_cycle(worker):
        done += 1
    # What another worker had in hand while its neighbours were ingested.
    while ingest_next(timezone.now()):
        pass
    connection.close()
    ended.put(done)


def run_cycle(worker: str) -> bool:
    """Takes one source through claim, begin, finish and ingest; False when none could be claimed."""
    now = timezone.now()
    claim = claim_next_source(now=now, worker=worker)
    if claim is None:
        return False
    served_controller, served_task = SERVED
    finish_run(
        run_id=claim.run_id,
        fence=claim.run.fence,
        result=Result(success=True, answer_state="verified", verifier="bench"),
        served_controller=served_controller,
        served_task=served_task,
        now=now,
    )
    with transaction.atomic():
        outcome_id = lock_waiting_outcome()
        if outcome_id is not None:
            ingest_outcome(outcome_id=outcome_id, now=now)
    return True
