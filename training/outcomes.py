"""Outcomes: the one row that a finished cycle leaves, and what becomes of its source."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from lealife.lib.announce import announce
from training.agent.errors import ErrorCode
from training.counters import add_counts
from training.models import Run, TrainingCycle, TrainingOutcome, TrainingSource
from training.models.sources import queue_rank
from training.runtime_settings import read_settings

# A failed source waits before it is tried again; a curriculum task longer, until more has been learned.
RETRY_AFTER = {TrainingSource.Kind.QUEUE: timedelta(seconds=10), TrainingSource.Kind.CURRICULUM: timedelta(minutes=5)}
# What no source can help: it waits, and none of its retry budget is spent.
BLAMELESS = frozenset({ErrorCode.MODEL_UNAVAILABLE, ErrorCode.CANCELLED})
# So many runs in a row that ended in one of these ways mean that the machine is broken, not the sources.
BREAKING = frozenset({ErrorCode.MODEL_UNAVAILABLE, ErrorCode.INTERNAL_ERROR})
BREAK_AFTER = 5
BREAK_FOR = timedelta(seconds=30)


def close_cycle(*, run: Run, now: datetime) -> TrainingOutcome:
    """Finalises the cycle of a finished run into its outcome, within the caller's transaction.

    The unique constraint on the cycle makes a second outcome impossible, whatever raced.
    """
    cycle = TrainingCycle.objects.select_related("source__campaign").get(run=run)
    success = run.status == Run.Status.SUCCEEDED
    outcome = TrainingOutcome.objects.create(
        cycle=cycle,
        run=run,
        source=cycle.source,
        host=run.host,
        lane=run.lane,
        success=success,
        error_code=run.error_code,
        verifier=run.verifier,
        controller_tag=run.controller_tag,
        controller_digest=run.controller_digest,
        served_controller_digest=run.served_controller_digest,
        task_tag=run.task_tag,
        task_digest=run.task_digest,
        served_task_digest=run.served_task_digest,
        canary_id=run.canary_id,
        memory_used=run.memory_used,
        pages=run.pages,
        controller_calls=run.controller_calls,
        prompt_tokens=run.prompt_tokens,
        completion_tokens=run.completion_tokens,
        duration_ms=run.duration_ms,
    )
    TrainingCycle.objects.filter(pk=cycle.pk).update(
        status=TrainingCycle.Status.SUCCEEDED if success else TrainingCycle.Status.FAILED,
        error_code=run.error_code,
        error=run.error,
        finished_at=now,
    )
    settle_source(
        source=cycle.source,
        success=success,
        error_code=run.error_code,
        # A run that no worker ever began says nothing about its source.
        blamed=run.error_code not in BLAMELESS and run.started_at is not None,
        now=now,
    )
    add_counts(outcomes__total=1, outcomes__success=int(success), outcomes__failure=int(not success))
    announce("outcomes")
    return outcome


def settle_source(
    *, source: TrainingSource, success: bool, error_code: str, now: datetime, blamed: bool = True
) -> None:
    """Done after a success; after a failure waiting again, or disabled when the retry budget is spent.

    A source that staff disabled or cancelled while it ran stays as they left it, and one whose campaign they
    cancelled is not tried again.
    """
    claimed = TrainingSource.objects.filter(pk=source.pk, status=TrainingSource.Status.CLAIMED)
    if success:
        claimed.update(status=TrainingSource.Status.DONE, finished_at=now, status_reason="")
        return
    failed = source.failed_attempts + int(blamed)
    if source.campaign is not None and source.campaign.cancelled_at is not None:
        claimed.update(
            status=TrainingSource.Status.FAILED,
            failed_attempts=failed,
            finished_at=now,
            status_reason=f"Failed with {error_code}; its campaign is cancelled.",
        )
        return
    if failed >= read_settings().retry_budget and blamed:
        claimed.update(
            status=TrainingSource.Status.DISABLED,
            failed_attempts=failed,
            finished_at=now,
            status_reason=f"Retry budget spent: {failed} failed attempts, the last with {error_code}.",
        )
        return
    again_at = now + RETRY_AFTER[TrainingSource.Kind(source.kind)]
    # A failed task goes behind the new ones: what has not been asked yet teaches more than what just failed.
    behind = {"queue_rank": queue_rank(queued_at=again_at, priority=source.priority)}
    claimed.update(
        status=TrainingSource.Status.PENDING,
        failed_attempts=failed,
        not_before=again_at,
        status_reason=f"Attempt {failed} failed with {error_code}.",
        **(behind if source.kind == TrainingSource.Kind.CURRICULUM else {}),
    )


def read_breaker(*, now: datetime) -> str:
    """Why nothing should be picked just now; empty when all is well.

    While every run breaks at once, picking on would only burn through the queue: one run each half minute
    tries whether the machine works again.
    """
    rows = TrainingOutcome.objects.order_by("-pk").values_list("error_code", "created_at")
    return judge_breaker(latest=list(rows[:BREAK_AFTER]), now=now)


def judge_breaker(*, latest: Sequence[tuple[str, datetime]], now: datetime) -> str:
    """The rule of `read_breaker`, pure: error code and time of the newest outcomes, newest first."""
    latest = latest[:BREAK_AFTER]
    broken = len(latest) == BREAK_AFTER and all(code in BREAKING for code, _ in latest)
    if not broken or now - latest[0][1] > BREAK_FOR:
        return ""
    return f"The last {BREAK_AFTER} runs ended with {latest[0][0]}; picking pauses for {BREAK_FOR.seconds} s."
