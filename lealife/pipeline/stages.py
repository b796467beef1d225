"""The pipeline: the order of stages, and the only module that knows them all.

claim → execute → outcome → ingest → window → build → evaluate → canary → apply → watch → prove → reserve

Each stage reports whether it has work (`ready`) and does one piece of it (`work`). A bell works a stage until nothing
is ready. A finished piece rings the next stage, most of them in the same transaction. The sweep rings again for lost
bells.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from lealife.core.clock import go_on_from
from lealife.core.errors import GateRefused
from lealife.core.gateway import ModelError
from lealife.core.session_locks import hold_session_lock
from lealife.core.urgency import Urgency
from lealife.models import IdempotentAnswer, WrongKeys
from lealife.pipeline import promotion_stages, reading_stages
from lealife.pipeline.bell import forget_failures, read_queue_depth, ring, ring_coordinator
from lealife.pipeline.browsers import open_browser
from lealife.pipeline.draining import is_draining
from lealife.pipeline.execution import LeaseKeeper, execute_run, patiently
from lealife.pipeline.ingestion import ingest_next
from lealife.pipeline.launching import launch_queued, launch_training, take_training
from lealife.pipeline.pool import PoolModel, get_pool, read_served_digest
from lealife.pipeline.vectors import embed_for_training, note_embedder
from learning.ingest import read_uningested
from promotion.candidates.building import plan_candidate, register_candidate
from promotion.candidates.windows import is_window_due, move_window, reach_window
from promotion.evaluation.arms import ArmTools
from promotion.evaluation.comparison import check_judgeable, open_evaluation, run_pairs
from promotion.evaluation.drills import has_drill_work, start_drill
from promotion.evaluation.freezing import freeze_inputs
from promotion.evaluation.reserve import is_measuring
from promotion.gate.rule import Verdict
from promotion.inspection import inspect_tags
from promotion.models import Evaluation, PromotionWindow
from promotion.routing import read_routing
from promotion.tags import ensure_base_tags, restore_tags
from training.chain_check import check_chain, is_chain_check_due
from training.coordinator import read_coordinator, run_loop
from training.heartbeats import beat
from training.models import Run
from training.runs import begin_next_run, fail_lapsed_runs
from training.runtime_settings import read_settings
from training.seals import count_unsealed, seal_outcomes

log = logging.getLogger(__name__)
State = PromotionWindow.State

# A bell ends after about a minute, and so does a coordinator's lead, so that no stage keeps a worker for ever.
HOLD_S = 55.0
SWEEP_S = 2.0
# The same while training is stopped and the last sweep found nothing to do.
IDLE_SWEEP_S = 10.0
# What the heartbeat of a worker that leads the loop says. A daemon that leads is not a worker and says something else.
COORDINATOR = "coordinator"


@dataclass(frozen=True, slots=True)
class Stage:
    """`ready(now)`: whether there is work; `work(now)`: does one piece, False when there was none after all.

    `alone`: at most one worker at a time, over all machines. `promotes`: it rests while an operator holds promotion.
    """

    name: str
    ready: Callable[[datetime], bool]
    work: Callable[[datetime], bool]
    alone: bool = True
    promotes: bool = False


def worker_name() -> str:
    """The name of this process in leases and heartbeats."""
    return f"{socket.gethostname()}:{os.getpid()}"


def drain(stage_name: str) -> int:
    """Runs when a bell rings: works a stage until nothing is ready, its time is up or a shutdown starts.

    Returns the pieces done. A bell that is delivered twice is harmless, because every piece starts with a claim.
    """
    stage = STAGES[stage_name]
    done, ends = 0, time.monotonic() + HOLD_S
    beat(worker=worker_name(), doing=stage_name, now=timezone.now())
    with hold_session_lock(f"stage {stage.name}") if stage.alone else nullcontext(True) as held:
        while held and not is_draining():
            if time.monotonic() > ends:
                ring(stage_name)
                break
            # A hold may have come after the bell, or during the last piece.
            if (stage.promotes and read_settings().promotion_hold) or not stage.work(timezone.now()):
                break
            done += 1
    beat(worker=worker_name(), doing="", now=timezone.now())
    return done


def coordinate() -> bool:
    """Leads the loop for about a minute, then rings for the next leader; False when another process leads."""
    sweeper = Sweeper()
    # A model server may have lost its data and with it our tags. Only the servers know, so ask them each minute.
    ring("tags")
    forget_failures()
    IdempotentAnswer.objects.expired(now=timezone.now()).delete()
    WrongKeys.objects.filter(minute__lt=timezone.now() - WrongKeys.KEPT_FOR).delete()
    try:
        led = run_loop(holder=worker_name(), hold_s=HOLD_S, tick=sweeper.tick, should_stop=is_draining)
    except (OperationalError, InterfaceError) as error:
        log.warning("the loop lost Postgres and rings for the next leader: %s", error)
        connection.close()
        led = True
    if led and not is_draining():
        patiently(ring_coordinator)
    return led


class Sweeper:
    """The coordinator's tick: claims what may run, and every other second rings stages that have work.

    While training is stopped and there is nothing to do it looks less often, because looking takes processor time.
    """

    def __init__(self, *, doing: str = COORDINATOR) -> None:
        self._swept_at = 0.0
        self._found = True
        self._doing = doing

    def tick(self, now: datetime) -> int:
        """One turn of the loop; returns how many runs it launched."""
        clock = go_on_from(now)
        # Before claiming, so that the sources of a dead worker can be claimed again in this tick.
        fail_lapsed_runs(now=now)
        enabled = read_coordinator().enabled
        launched = launch_queued(clock()) + (launch_training(clock(), while_enabled=True) if enabled else 0)
        pause = SWEEP_S if enabled or launched or self._found else IDLE_SWEEP_S
        if time.monotonic() - self._swept_at >= pause:
            self._swept_at = time.monotonic()
            self._found = sweep(clock(), doing=self._doing)
        return launched


def sweep(now: datetime, *, doing: str = COORDINATOR) -> bool:
    """Repairs what was lost: lapsed leases, bells that never rang. True when there is work."""
    fail_lapsed_runs(now=now)
    beat(worker=worker_name(), doing=doing, now=now)
    # A second bell for a stage is useless while its first one waits, so do not ring while the queue is busy.
    if read_queue_depth() >= 2 * len(STAGES):
        return True
    held = read_settings().promotion_hold
    waiting = [stage for stage in STAGES.values() if not (held and stage.promotes) and stage.ready(now)]
    for stage in waiting:
        ring(stage.name)
    return bool(waiting)


def _execute(now: datetime) -> bool:
    launch_queued(now)
    run = begin_next_run(worker=worker_name(), now=now) or take_training(worker=worker_name(), now=now)
    if run is None:
        return False
    execute_run(run)
    return True


def _window(now: datetime) -> bool:
    with transaction.atomic():
        reached = reach_window(now=now)
        if reached:
            ring("build")
    return reached


def _build(now: datetime) -> bool:
    window = PromotionWindow.objects.filter(state=State.BUILDING).first()
    if window is None or is_measuring():
        return False
    try:
        check_judgeable()
    except GateRefused as error:
        move_window(window_id=window.pk, expected=State.BUILDING, to=State.FAILED, now=now, reason=str(error))
        return True
    try:
        # It asks a model server, also for vectors, so it comes before the transaction.
        note_embedder()
        plan = plan_candidate(server=get_pool(), model=PoolModel(urgency=Urgency.TRAINING), embed=embed_for_training)
        digest = plan.recipe.materialise(get_pool())
    except GateRefused as error:
        move_window(window_id=window.pk, expected=State.BUILDING, to=State.REJECTED, now=now, reason=str(error))
        return True
    except ModelError as error:
        log.warning("candidate not built, trying again: %s", error)
        return False
    try:
        frozen = freeze_inputs(candidate=plan.recipe, embed=embed_for_training)
        with transaction.atomic():
            candidate = register_candidate(plan, digest=digest)
            open_evaluation(window_id=window.pk, candidate=candidate, frozen=frozen, now=now)
            ring("evaluate")
    except GateRefused as error:
        move_window(window_id=window.pk, expected=State.BUILDING, to=State.FAILED, now=now, reason=str(error))
    return True


def _drill(now: datetime) -> bool:
    note_embedder()
    try:
        started = start_drill(server=get_pool(), now=now, embed=embed_for_training)
    except ModelError as error:
        log.warning("drill not built, trying again: %s", error)
        return False
    if started:
        ring("evaluate")
    return started


def _evaluate(now: datetime) -> bool:
    evaluation_id = _open_evaluations().values_list("pk", flat=True).first()
    if evaluation_id is None:
        return False
    decision = run_pairs(evaluation_id=evaluation_id, tools=arm_tools(), now=now)
    if decision is None:
        # No slot is free, or a shutdown has started: the sweep rings again.
        return False
    if decision.verdict is Verdict.PROMOTE:
        ring("canary")
    return True


def _measure(now: datetime) -> bool:
    note_embedder()
    return promotion_stages.work_reserve(now, tools=arm_tools())


def arm_tools() -> ArmTools:
    """The tools with which an evaluation's arms run."""
    return ArmTools(
        open_browser=open_browser,
        model=PoolModel(urgency=Urgency.TRAINING),
        served_digest=read_served_digest,
        worker=worker_name(),
        should_stop=lambda: "cancelled" if is_draining() else None,
        keep_lease=LeaseKeeper,
        embed=embed_for_training,
    )


def _tags(now: datetime) -> bool:
    note_embedder()
    try:
        made = ensure_base_tags(server=get_pool(), base=settings.LEALIFE_BASE_MODEL)
        for name in restore_tags(server=get_pool()):
            log.warning("%s was missing on a model server and has been made again from its recipe", name)
        for finding in inspect_tags(server=get_pool()).serving_alarms:
            log.warning("%s", finding.sentence)
    except ModelError as error:
        log.warning("tags not maintained, trying again: %s", error)
        return False
    return made


def _open_evaluations() -> QuerySet[Evaluation]:
    """Open evaluations, those of candidates before drills."""
    return Evaluation.every.filter(verdict=Evaluation.Verdict.PENDING).order_by("drill", "pk")


def _is_build_ready(now: datetime) -> bool:
    """Whether a candidate is to be built. What the last apply was worth is measured first.

    The next evaluation would hold the measurement up, and its apply would cut it short.
    """
    return PromotionWindow.objects.filter(state=State.BUILDING).exists() and not is_measuring()


def _ready_tags(now: datetime) -> bool:
    routing = read_routing()
    return routing.controller is None or routing.task is None


STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage("tags", _ready_tags, _tags),
        Stage("read", reading_stages.is_read_ready, reading_stages.work_read),
        Stage("index", reading_stages.is_index_ready, reading_stages.work_index),
        Stage("revive", reading_stages.is_revive_ready, reading_stages.work_revive),
        Stage(
            "execute", lambda now: Run.objects.filter(status="claimed", claimed_by="").exists(), _execute, alone=False
        ),
        Stage("seal", lambda now: count_unsealed() > 0, lambda now: seal_outcomes() > 0),
        Stage("verify", lambda now: is_chain_check_due(now=now), lambda now: check_chain(now=now) > 0),
        Stage("ingest", lambda now: read_uningested().exists(), ingest_next, alone=False),
        Stage("window", lambda now: is_window_due(), _window, promotes=True),
        Stage("build", _is_build_ready, _build, promotes=True),
        Stage("drill", lambda now: has_drill_work(now=now), _drill, promotes=True),
        Stage("evaluate", lambda now: _open_evaluations().exists(), _evaluate, alone=False, promotes=True),
        Stage("canary", promotion_stages.is_canary_ready, promotion_stages.work_canary, promotes=True),
        Stage("apply", promotion_stages.is_apply_ready, promotion_stages.work_apply, promotes=True),
        # Not stopped by a hold: as long as runs are held back for the previous tag, harm must be found.
        Stage("watch", promotion_stages.is_watch_ready, promotion_stages.work_watch),
        # Last, and it gives way to all others. Not stopped by a hold either: it decides nothing.
        Stage("reserve", promotion_stages.is_reserve_ready, _measure, alone=False),
    )
}
