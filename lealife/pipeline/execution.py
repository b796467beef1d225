"""Executes one run: brain in, trajectory out. A separate thread renews the run's lease."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from types import TracebackType

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.utils import timezone

from lealife.core.errors import NotFound, StaleClaim, describe_breakage
from lealife.core.urgency import Urgency
from lealife.pipeline.bell import ring
from lealife.pipeline.browsers import open_browser
from lealife.pipeline.database_wait import patiently
from lealife.pipeline.memories import recall_for_run
from lealife.pipeline.pool import MISSING, MIXED, PoolModel, read_served_digest
from lealife.pipeline.vectors import embed_for_training, embed_if_possible
from learning.memory import count_recalls, lock_memory
from learning.recall import withhold
from promotion.evaluation.arms import make_brain
from promotion.holdback import route_run
from promotion.routing import read_canary_routing
from training.agent.brain import VISITABLE_KINDS, Brain
from training.agent.errors import AgentError, ErrorCode
from training.agent.navigate import navigate
from training.agent.trajectory import Trajectory
from training.heartbeats import beat
from training.models import Run
from training.models.runs import LEASE
from training.results import Result
from training.runs import finish_run, record_brain, record_step, renew_lease
from training.tasks import build_task

log = logging.getLogger(__name__)
RENEW_S = LEASE.total_seconds() / 3
# Time for a request that is allowed just before the lease ends to reach its server.
MARGIN_S = LEASE.total_seconds() / 10


class LeaseKeeper:
    """Renews a run's lease during long model calls, and knows when the run no longer belongs to this worker.

    That is so when a renewal is refused, and also when none succeeded for the length of a lease: a worker that the
    machine left without time must not go on with a run that the sweep has given to another.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._ended = threading.Event()
        self.lost = threading.Event()
        left = LEASE if run.lease_until is None else run.lease_until - timezone.now()
        self._held_until = time.monotonic() + left.total_seconds()
        self._thread = threading.Thread(target=self._renew, name=f"lease-{run.pk}", daemon=True)

    def __enter__(self) -> LeaseKeeper:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_S):
            began = time.monotonic()
            try:
                renew_lease(run_id=self._run.pk, fence=self._run.fence, now=timezone.now())
                self._held_until = began + LEASE.total_seconds()
                # A long run is work too: without this heartbeat a busy cluster would look dead.
                beat(worker=self._run.claimed_by, doing="execute", now=timezone.now())
            except StaleClaim:
                self.lost.set()
                break
            except (DatabaseError, InterfaceError) as error:
                log.warning("run %s: lease not renewed, trying again: %s", self._run.pk, error)
                connection.close()
        connection.close()

    def why_stop(self) -> str | None:
        """The agent calls this before each visit and each model call."""
        is_lost = self.lost.is_set() or time.monotonic() > self._held_until - MARGIN_S
        return ErrorCode.WORKER_LOST if is_lost else None


def assemble_brain(run: Run) -> tuple[Brain, list[int]]:
    """The frozen input of the run: routed tags and recalled memory; and the ids of items withheld on purpose."""
    canary = run.lane == Run.Lane.CANARY and run.canary_id is not None
    controller, task = (read_canary_routing(run.canary_id) if canary else route_run(run)).require()
    trains = run.lane in Run.CYCLE_LANES
    items = recall_for_run(host_id=run.host_id, prompt=run.prompt, controller=controller, trains=trains)
    withheld: list[int] = []
    if trains:
        items, withheld = withhold(items, run_id=run.pk)
    return make_brain(controller=controller, task=task, memories=items), withheld


def execute_run(run: Run) -> None:
    """Runs the agent for a started run and finishes the run in every case, unless its lease was lost."""
    served: dict[str, set[str]] = {"controller": set(), "task": set()}
    try:
        with LeaseKeeper(run) as lease:
            result = _navigate(run, lease=lease, served=served)
        patiently(lambda: _finish(run, result=result, served=served))
    except StaleClaim as error:
        log.warning("run %s: %s This worker's result is discarded.", run.pk, error)


def _navigate(run: Run, *, lease: LeaseKeeper, served: dict[str, set[str]]) -> Result:
    trains = run.lane in Run.CYCLE_LANES
    try:
        brain = patiently(lambda: _prepare(run))
        before = read_served(brain)
        _require_tags(brain, before)
        with patiently(lambda: open_browser(run.host)) as browser:
            trajectory = navigate(
                task=build_task(run),
                brain=brain,
                browser=browser,
                model=PoolModel(urgency=Urgency.TRAINING if trains else Urgency.PERSON),
                on_step=lambda step: patiently(
                    lambda: record_step(run_id=run.pk, fence=run.fence, step=step, now=timezone.now())
                ),
                should_stop=lease.why_stop,
                embed=embed_for_training if trains else embed_if_possible,
            )
        _note_served(served, brain=brain, before=before, trajectory=trajectory)
        return Result.from_trajectory(trajectory)
    except StaleClaim:
        raise
    except AgentError as error:
        return Result(success=False, error_code=str(error.code), error=error.message)
    except NotFound as error:
        return Result(success=False, error_code=ErrorCode.MODEL_UNAVAILABLE, error=str(error))
    except Exception as error:
        # The worker's edge: whatever broke is an outcome, and the worker goes on.
        log.exception("run %s broke", run.pk)
        connection.close()
        return Result(success=False, error_code=ErrorCode.INTERNAL_ERROR, error=describe_breakage(error))


def _prepare(run: Run) -> Brain:
    brain, withheld = assemble_brain(run)
    record_brain(run_id=run.pk, fence=run.fence, brain=brain, withheld=withheld)
    return brain


def read_served(brain: Brain) -> dict[str, str]:
    """The digest that each role's tag has on the servers now. Raises AgentError when no server answers."""
    return {"controller": read_served_digest(brain.controller_tag), "task": read_served_digest(brain.task_tag)}


def _note_served(served: dict[str, set[str]], *, brain: Brain, before: dict[str, str], trajectory: Trajectory) -> None:
    """Notes the digests that served, by role. Only replies prove them: a role without replies asked no model.

    A reply without a digest counts for the digests that the tag had before and after the run.
    """
    after: dict[str, str] = {}
    with contextlib.suppress(AgentError):
        # Servers that stopped after the work was done do not make it invalid.
        after = read_served(brain)
    roles = (
        ("controller", trajectory.controller_calls, trajectory.controller_digests),
        ("task", trajectory.task_replies, trajectory.task_digests),
    )
    for role, replies, digests in roles:
        if replies:
            served[role].update(filter(None, (before[role], *digests, after.get(role, ""))))


def _require_tags(brain: Brain, before: dict[str, str]) -> None:
    # Without its tag the agent would use the shortlist's order, and a lucky result would count for the tag.
    for role, tag in (("controller", brain.controller_tag), ("task", brain.task_tag)):
        if before[role] == MISSING:
            raise AgentError(ErrorCode.MODEL_UNAVAILABLE, f"No model server has {tag}.")


def _one(digests: set[str]) -> str:
    found = digests - {""}
    return found.pop() if len(found) == 1 else MIXED if found else ""


def _finish(run: Run, *, result: Result, served: dict[str, set[str]]) -> None:
    with transaction.atomic():
        finish_run(
            run_id=run.pk,
            fence=run.fence,
            result=result,
            served_controller=_one(served["controller"]),
            served_task=_one(served["task"]),
            now=timezone.now(),
        )
        if run.lane in Run.CYCLE_LANES:
            ring("ingest")
        elif run.lane != Run.Lane.EVALUATION:
            # This run makes no outcome, so no ingest will count its recalled items. Count that they were given; whether
            # they helped is known only from a person's verdict.
            shown = Run.objects.values_list("memories", flat=True).get(pk=run.pk)
            recalled = [item["id"] for item in shown if item.get("kind") in VISITABLE_KINDS]
            # An ingest of this host locks items in another order.
            lock_memory(run.host_id)
            count_recalls(recalled=recalled, helped=(), checked=False, now=timezone.now())
