"""What a look at a page costs with a short history and with a long one: it should be the same."""

from __future__ import annotations

import time
from datetime import timedelta
from statistics import median

from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from benchmarks.cycles import HOSTS, prepare_cycles, queue_sources
from benchmarks.database import open_database, use_database
from benchmarks.history import write_history
from benchmarks.measurement import Measurement, at_most, find_p95
from lealife.core.actors import command_line
from lealife.dashboard.live.snapshot import take_snapshot
from promotion.models import LiveApply, ModelTag, PromotionWindow, Role
from promotion.recipes import base_recipe
from training.campaigns import create_campaign
from training.claims import claim_next_source
from training.coordinator import read_coordinator
from training.models import Coordinator, Host, TrainingOutcome, WorkerHeartbeat
from training.runs import begin_next_run

SHORT, LONG = 10_000, 1_000_000
PAGES = ("training", "home")
LOOKS, ROUNDS, WARM_UP = 100, 5, 10
RATIO_MOST, QUERIES_MOST, COST_MOST_MS = 1.2, 20, 60.0
WAITING, RUNNING = 1_000, 4
# The newest outcomes were served by the tags that are live, as they are wherever the product itself wrote them.
_SERVED = """
    UPDATE training_outcomes SET served_controller_digest = 'sha256:c', served_task_digest = 'sha256:t',
        controller_calls = 3 WHERE id > (SELECT max(id) FROM training_outcomes) - 1000
"""
_STARTED = """
    UPDATE training_run SET started_at = now(), finished_at = now()
    WHERE status = 'succeeded' AND id > (SELECT max(run_id) FROM training_outcomes) - 1000
"""


def measure_snapshots(*, finished: int = LONG, few_finished: int = SHORT, rounds: int = ROUNDS) -> list[Measurement]:
    """Builds and fingerprints each page in turn with both histories; three claims a page.

    Timed is `take_snapshot`, which is every query, panel and fingerprint; not the rendering of what changed.
    """
    with open_database() as few:
        furnish(finished=few_finished)
        with open_database() as many:
            furnish(finished=finished)
            p95: dict[tuple[str, str], list[float]] = {(page, name): [] for page in PAGES for name in (few, many)}
            for _ in range(rounds):
                for name in (few, many):
                    use_database(name)
                    for page in PAGES:
                        p95[page, name].append(find_p95(_time_looks(page)))
            queries = {page: _count_queries(page) for page in PAGES}
        use_database(few)
    setup = (
        f"medians of {rounds} rounds of {LOOKS} looks each, the histories in turn, ratios of the least disturbed "
        f"round of each; {WAITING:,} sources wait on {HOSTS} hosts"
    )
    claims = []
    for page in PAGES:
        there, here = median(p95[page, many]), median(p95[page, few])
        # Of the least disturbed rounds: the machine itself makes one look in twenty cost half as much again, and
        # then p95 would compare a slowed look with a look that was not.
        ratio = min(p95[page, many]) / min(p95[page, few])
        said = f"p95 {there:.1f} ms at {finished:,} outcomes, {here:.1f} ms at {few_finished:,}; {setup}"
        claims += [
            at_most(f"{page}: a look's p95 with a long history", ratio, RATIO_MOST, "times a short one's", said),
            at_most(f"{page}: a look's p95", there, COST_MOST_MS, "ms", said),
            at_most(f"{page}: queries of a look", queries[page], QUERIES_MOST, "", f"at {finished:,} outcomes"),
        ]
    return claims


def _time_looks(page: str) -> list[float]:
    """Milliseconds of `LOOKS` looks, after a few that warm the connection up."""
    times = []
    for number in range(WARM_UP + LOOKS):
        started = time.perf_counter()
        take_snapshot(page, now=timezone.now())
        if number >= WARM_UP:
            times.append(1000 * (time.perf_counter() - started))
    return times


def _count_queries(page: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        take_snapshot(page, now=timezone.now())
    return len(captured)


def furnish(*, finished: int) -> None:
    """A system at work behind `finished` cycles: tags live after a switch, a queue, a campaign, runs, a worker."""
    prepare_cycles()
    write_history(finished=finished, leased=0)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(_SERVED)
        cursor.execute(_STARTED)
    now = timezone.now()
    newest = TrainingOutcome.objects.latest("id").pk
    for role, digest in ((Role.CONTROLLER, "sha256:c"), (Role.TASK, "sha256:t")):
        before, live = (
            ModelTag.objects.create(
                role=role,
                name=f"{role}:w{place}",
                digest=made,
                base="base",
                recipe=base_recipe(role=role, base="base").to_json(),
                status=status,
            )
            for place, made, status in ((0, "sha256:0", "retired"), (1, digest, "active"))
        )
        LiveApply.objects.create(
            role=role,
            from_tag=before,
            from_digest=before.digest,
            to_tag=live,
            to_digest=digest,
            after_outcome_id=newest - 500,
            applied_at=now - timedelta(minutes=10),
            applied_by="gate",
            reason="canary passed",
        )
    PromotionWindow.objects.create(number=1, watermark=finished - 10, size=30, attempts_before=finished - 10)
    queue_sources(WAITING)
    create_campaign(
        title="bench",
        prompt="Which page says so?",
        host=Host.objects.earliest("id"),
        check_spec=None,
        pages_target=None,
        size=100,
        queued_from="bench",
        by=command_line("bench"),
    )
    for _ in range(RUNNING):
        claim_next_source(now=now)
        begin_next_run(worker="bench", now=now)
    read_coordinator()
    Coordinator.objects.update(
        enabled=True, holder="bench", lease_until=now + timedelta(hours=1), last_tick_at=now, last_launch_at=now
    )
    WorkerHeartbeat.objects.create(name="bench", last_beat_at=now, doing="running")
    with connection.cursor() as cursor:
        # As autovacuum leaves the tables; it would do so in the middle of the looks otherwise.
        cursor.execute("VACUUM (ANALYZE)")
