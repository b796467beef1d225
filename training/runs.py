"""Runs: queue, begin, renew, record, finish. Every write after the claim carries the fence."""

from __future__ import annotations

import zlib
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from lealife.core.announce import announce
from lealife.core.clock import go_on_from
from lealife.core.errors import StaleClaim
from training.agent.brain import INDEXED, RULED_OUT, Brain
from training.agent.errors import ErrorCode
from training.agent.trajectory import Step as AgentStep
from training.models import Host, PageSnapshot, Run, Step
from training.models.runs import LEASE
from training.outcomes import close_cycle
from training.results import Result, judge_served
from training.runtime_settings import read_settings
from training.slots import lock_slots, read_slots
from training.tasks import check_pages_target, check_prompt, check_success_check, find_host

ATTEMPTS_MAX = 3
SWEPT_AT_ONCE = 100
RETRIED_LANES = (Run.Lane.STANDARD, Run.Lane.MANUAL)
# The columns that the end of a run reads and does not write.
READ_AT_END = (
    *("fence", "lane", "host_id", "canary_id", "started_at"),
    *("controller_tag", "controller_digest", "task_tag", "task_digest"),
)


def queue_run(
    *,
    lane: str,
    prompt: str,
    host: Host | str | None,
    check_spec: dict[str, Any] | None,
    pages_target: int | None,
    by: str,
) -> Run:
    """Queues a run outside of training. Raises InvalidInput or NotFound with the field that is wrong."""
    cleaned = check_prompt(prompt)
    found = find_host(host, prompt=cleaned)
    row = read_settings()
    run = Run.objects.create(
        lane=lane,
        host=found,
        prompt=cleaned,
        check_spec=check_success_check(check_spec, host=found),
        pages_target=check_pages_target(pages_target) or row.default_pages_target,
        max_calls=row.controller_max_calls,
        requested_by=by,
    )
    announce("runs")
    return run


def claim_queued_run(*, now: datetime) -> int | None:
    """Gives the oldest queued run a slot; returns its id, or None when nothing waits or no slot is free."""
    with transaction.atomic():
        lock_slots()
        if not read_slots().free_for_control:
            return None
        # Those of a host that was archived meanwhile wait until it is back in use.
        queued = Run.objects.queued().filter(host__enabled=True).order_by("id")
        run = queued.select_for_update(of=("self",), skip_locked=True).first()
        if run is None:
            return None
        Run.objects.filter(pk=run.pk).update(
            status=Run.Status.CLAIMED, fence=F("fence") + 1, attempts=F("attempts") + 1, lease_until=now + LEASE
        )
        announce("runs")
        return run.pk


def begin_next_run(*, worker: str, now: datetime) -> Run | None:
    """Takes the oldest claimed run for execution by `worker`; None when none waits."""
    with transaction.atomic():
        claimed = Run.objects.select_related("host").filter(status=Run.Status.CLAIMED, claimed_by="").order_by("id")
        # One that another worker is beginning at this moment is passed over.
        run = claimed.select_for_update(of=("self",), skip_locked=True).first()
        return begin_run(run=run, worker=worker, now=now) if run else None


def begin_run(*, run: Run, worker: str, now: datetime) -> Run:
    """Claimed → running, with a new fence; returns the run. Raises StaleClaim when it has moved on."""
    changes = {
        "status": Run.Status.RUNNING,
        "claimed_by": worker,
        "fence": run.fence + 1,
        "lease_until": now + LEASE,
        "started_at": now,
    }
    # The fence says that the run is as it was when `run` was read.
    if not Run.objects.filter(pk=run.pk, fence=run.fence, status=Run.Status.CLAIMED).update(**changes):
        raise StaleClaim(f"Run {run.pk} has been taken by another worker.")
    for name, value in changes.items():
        setattr(run, name, value)
    announce("runs")
    return run


def record_brain(*, run_id: int, fence: int, brain: Brain, withheld: list[int]) -> None:
    """Writes which tags routing claims and what was recalled, before the first model call."""
    _write(
        run_id,
        fence,
        controller_tag=brain.controller_tag,
        controller_digest=brain.controller_digest,
        task_tag=brain.task_tag,
        task_digest=brain.task_digest,
        memories=[
            {
                "id": item.item_id,
                "kind": item.kind,
                "url": item.url,
                "title": item.title,
                "score": item.score,
                "why": item.why,
                "heading": item.heading,
                "is_passage": item.is_passage,
            }
            for item in brain.memories
            if item.kind not in (RULED_OUT, INDEXED)
        ],
        memory_withheld=withheld,
    )


def renew_lease(*, run_id: int, fence: int, now: datetime) -> None:
    """Keeps the run ours for another lease. Raises StaleClaim when it no longer is."""
    _write(run_id, fence, lease_until=now + LEASE)


def record_step(*, run_id: int, fence: int, step: AgentStep, now: datetime) -> None:
    """Stores one step and its page, and renews the lease. Raises StaleClaim."""
    with transaction.atomic():
        renew_lease(run_id=run_id, fence=fence, now=now)
        Step.objects.create(
            run_id=run_id,
            index=step.index,
            url=step.url,
            final_url=step.final_url,
            title=step.title[:500],
            status_code=step.status,
            snapshot=keep_snapshot(step.body, digest=step.body_digest, media_type=step.media_type),
            shortlist=[asdict(choice) for choice in step.shortlist],
            picked_by=step.picked_by,
            recalled=list(step.recalled),
            latency_ms=step.latency_ms,
            prompt_tokens=step.prompt_tokens,
            cached_tokens=step.cached_tokens,
            completion_tokens=step.completion_tokens,
            served_digest=step.served_digest,
            error_code=str(step.error_code),
            error=step.error,
        )
        announce(f"run:{run_id}")


def keep_snapshot(body: bytes, *, digest: str, media_type: str) -> PageSnapshot | None:
    """The page, kept once per content; None for an empty body."""
    if not body:
        return None
    PageSnapshot.objects.bulk_create(
        [PageSnapshot(digest=digest, media_type=media_type[:100], size=len(body), body_zlib=zlib.compress(body, 6))],
        ignore_conflicts=True,
    )
    return PageSnapshot(digest=digest)


def finish_run(
    *, run_id: int, fence: int, result: Result, served_controller: str, served_task: str, now: datetime
) -> None:
    """Running → succeeded or failed; a training run's cycle gets its one outcome in the same transaction.

    Raises StaleClaim when the lease was lost meanwhile: then another outcome exists or will, and this one is void.
    """
    with transaction.atomic():
        try:
            run = Run.objects.select_for_update().only(*READ_AT_END).get(pk=run_id, fence=fence)
        except Run.DoesNotExist:
            raise StaleClaim(f"Run {run_id} is no longer held under fence {fence}.") from None
        promised, served = (run.controller_digest, run.task_digest), (served_controller, served_task)
        judged = judge_served(result, promised=promised, served=served)
        _end_run(
            run,
            now=now,
            served_controller_digest=served_controller,
            served_task_digest=served_task,
            **judged.to_columns(),
        )


def fail_lapsed_runs(*, now: datetime) -> int:
    """Fails runs whose lease lapsed with `worker_lost`; a standard or manual run is queued again within its attempts.

    Returns how many were moved. Each in a transaction of its own, so that one bad row does not stop the sweep.
    """
    moved, clock = 0, go_on_from(now)
    lapsed = list(Run.objects.lapsed(now=now).order_by("lease_until").values_list("id", flat=True)[:SWEPT_AT_ONCE])
    for run_id in lapsed:
        with transaction.atomic():
            # The conditions are on the locked row itself: Postgres checks them again when another sweep changed the
            # row before this lock. In a subquery it would use the old values.
            now = clock()
            run = Run.objects.lapsed(now=now).filter(pk=run_id).select_for_update(skip_locked=True).first()
            if run is None:
                continue
            moved += 1
            # No worker began it, so it was not tried: it waits for a worker, however long that takes.
            if run.lane in RETRIED_LANES and (run.attempts < ATTEMPTS_MAX or not run.claimed_by):
                _queue_again(run)
            else:
                error = f"Worker {run.claimed_by or '(none)'} stopped renewing its lease."
                _end_run(run, now=now, status=Run.Status.FAILED, error_code=ErrorCode.WORKER_LOST, error=error)
    return moved


def _queue_again(run: Run) -> None:
    _change(run, status=Run.Status.QUEUED, lease_until=None, claimed_by="")
    run.steps.all().delete()
    announce("runs")


def _end_run(run: Run, *, now: datetime, **changes: Any) -> None:
    """Ends a run that the caller has locked, well or badly; a training run's cycle gets its one outcome."""
    _change(run, **changes, lease_until=None, finished_at=now)
    if run.lane in Run.CYCLE_LANES:
        close_cycle(run=run, now=now)
    announce("runs")


def _change(run: Run, **changes: Any) -> None:
    """Writes a locked row under a new fence, which refuses the holder of the old one from here on."""
    for name, value in {**changes, "fence": run.fence + 1}.items():
        setattr(run, name, value)
    run.save(update_fields=["fence", *changes])


def _write(run_id: int, fence: int, /, **changes: Any) -> None:
    # Only (id, fence): another predicate on the status would make the plan depend on stale statistics.
    if not Run.objects.filter(pk=run_id, fence=fence).update(**changes):
        raise StaleClaim(f"Run {run_id} is no longer held under fence {fence}.")
