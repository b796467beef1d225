"""Runs: queue, begin, renew, record, finish. Every write after the claim carries the fence."""

from __future__ import annotations

import zlib
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from lealife.core.announce import announce
from lealife.core.errors import StaleClaim
from lealife.core.statements import run_steadily
from training.agent.brain import RULED_OUT, Brain
from training.agent.errors import ErrorCode
from training.agent.trajectory import Step as AgentStep
from training.models import Host, PageSnapshot, Run, Step
from training.models.runs import LEASE
from training.outcomes import close_cycle
from training.results import Finished, Held, Result, finish_runs
from training.runtime_settings import read_settings
from training.slots import lock_slots, read_slots
from training.tasks import check_pages_target, check_prompt, check_success_check, find_host

ATTEMPTS_MAX = 3
RETRIED_LANES = (Run.Lane.STANDARD, Run.Lane.MANUAL)
_BEGIN = """
    UPDATE training_run SET status = 'running', claimed_by = %(worker)s, fence = fence + 1,
        lease_until = %(lease_until)s::timestamptz, started_at = %(now)s::timestamptz
    WHERE id = ANY(ARRAY(
        SELECT id FROM training_run WHERE status = 'claimed' AND claimed_by = ''
        ORDER BY id LIMIT %(limit)s::int FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, fence
"""


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
        # Taken back by a crash of Postgres it is queued again, and nobody has begun it.
        lock_slots(relaxed=True)
        if not read_slots().free_for_control:
            return None
        # Those of a host that was disabled meanwhile wait until it is enabled again.
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
    """Takes one claimed run for execution by `worker`; None when none waits."""
    held = begin_runs(worker=worker, now=now, limit=1)
    return Run.objects.select_related("host").get(pk=held[0].run_id) if held else None


def begin_runs(*, worker: str, now: datetime, limit: int) -> list[Held]:
    """Takes claimed runs for execution by `worker`, the oldest first, at most `limit`. One statement."""
    values = {"worker": worker, "now": now, "lease_until": now + LEASE, "limit": limit}
    with transaction.atomic():
        # Never relaxed: taken back by a crash of Postgres, the fence would be given a second time.
        begun = run_steadily((_BEGIN, values))
        if begun:
            announce("runs")
        return [Held(run_id, fence) for run_id, fence in begun]


def begin_run(*, run: Run, worker: str, now: datetime) -> Run:
    """Claimed → running, with a new fence. Raises StaleClaim when the row has moved on."""
    moved = Run.objects.filter(pk=run.pk, fence=run.fence, status=Run.Status.CLAIMED).update(
        status=Run.Status.RUNNING,
        claimed_by=worker,
        fence=F("fence") + 1,
        lease_until=now + LEASE,
        started_at=now,
    )
    if not moved:
        raise StaleClaim(f"Run {run.pk} has been taken by another worker.")
    run.refresh_from_db()
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
            }
            for item in brain.memories
            if item.kind != RULED_OUT
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
            shortlist=[
                {"url": choice.url, "title": choice.title, "score": round(choice.score, 4), "why": choice.why}
                for choice in step.shortlist
            ],
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
    held = Held(run_id, fence)
    if not finish_runs(finished=[Finished(held, result, served_controller, served_task)], now=now):
        raise StaleClaim(f"Run {run_id} is no longer held under fence {fence}.")


def fail_lapsed_runs(*, now: datetime, limit: int = 100) -> int:
    """Fails runs whose lease lapsed with `worker_lost`; a standard or manual run is queued again within its attempts.

    Returns how many were moved. Each in a transaction of its own, so that one bad row does not stop the sweep.
    """
    moved = 0
    lapsed = list(Run.objects.lapsed(now=now).order_by("lease_until").values_list("id", flat=True)[:limit])
    for run_id in lapsed:
        with transaction.atomic():
            # The conditions stand on the locked row itself: Postgres asks them again of a row that another sweep
            # changed before it was locked. In a subquery they would be answered from before.
            run = Run.objects.lapsed(now=now).filter(pk=run_id).select_for_update(skip_locked=True).first()
            if run is None:
                continue
            moved += 1
            # One that nobody began was not tried: it waits for a worker for as long as it takes.
            retry = run.lane in RETRIED_LANES and (run.attempts < ATTEMPTS_MAX or not run.claimed_by)
            Run.objects.filter(pk=run_id).update(
                status=Run.Status.QUEUED if retry else Run.Status.FAILED,
                fence=F("fence") + 1,
                lease_until=None,
                claimed_by="",
                error_code="" if retry else ErrorCode.WORKER_LOST,
                error="" if retry else f"Worker {run.claimed_by or '(none)'} stopped renewing its lease.",
                finished_at=None if retry else now,
            )
            if retry:
                Step.objects.filter(run_id=run_id).delete()
            run.refresh_from_db()
            if run.lane in Run.CYCLE_LANES:
                close_cycle(run=run, now=now)
            announce("runs")
    return moved


def _write(run_id: int, fence: int, /, **changes: Any) -> None:
    # Only (id, fence): another predicate on the status would make the plan depend on stale statistics.
    if not Run.objects.filter(pk=run_id, fence=fence).update(**changes):
        raise StaleClaim(f"Run {run_id} is no longer held under fence {fence}.")
