"""Outcomes: the one row that a finished cycle leaves, and what becomes of its source."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from lealife.core.announce import announce
from training.agent.errors import ErrorCode
from training.counters import add_counts
from training.models import Campaign, Run, TrainingCycle, TrainingOutcome, TrainingSource
from training.models.sources import queue_rank
from training.runtime_settings import read_settings

# A failed source waits before it is tried again; a curriculum task longer, until more has been learned.
RETRY_AFTER = {TrainingSource.Kind.QUEUE: timedelta(seconds=10), TrainingSource.Kind.CURRICULUM: timedelta(minutes=5)}
# No model answered, or another one than was promised: such a run says nothing about a tag or a task.
UNSERVED = frozenset({ErrorCode.MODEL_UNAVAILABLE, ErrorCode.SERVED_OTHER_DIGEST})
# What no source can help: it waits, and none of its retry budget is spent.
BLAMELESS = UNSERVED | {ErrorCode.CANCELLED}
# So many runs in a row that ended in one of these ways mean that the machine is broken, not the sources.
BREAKING = UNSERVED | {ErrorCode.INTERNAL_ERROR}
BREAK_AFTER = 5
BREAK_FOR = timedelta(seconds=30)

# What an outcome repeats of its run.
FROM_RUN = (
    "lane",
    "answer_state",
    "error_code",
    "verifier",
    "controller_tag",
    "controller_digest",
    "served_controller_digest",
    "task_tag",
    "task_digest",
    "served_task_digest",
    "canary_id",
    "memory_used",
    "pages",
    "controller_calls",
    "prompt_tokens",
    "completion_tokens",
    "duration_ms",
)


def close_cycle(*, run: Run, now: datetime) -> None:
    """Finalises the cycle of a run that has just ended, well or badly, within the caller's transaction.

    Writes the one outcome, closes the cycle, settles the source and counts. The unique constraint on the cycle makes a
    second outcome impossible, whatever raced.
    """
    cycle = TrainingCycle.objects.only("source_id").get(run=run)
    success = run.status == Run.Status.SUCCEEDED
    TrainingOutcome.objects.create(
        cycle=cycle,
        run=run,
        source_id=cycle.source_id,
        host_id=run.host_id,
        success=success,
        is_counted=success and does_count(run),
        **{name: getattr(run, name) for name in FROM_RUN},
    )
    TrainingCycle.objects.filter(pk=cycle.pk).update(
        status=TrainingCycle.Status.SUCCEEDED if success else TrainingCycle.Status.FAILED,
        error_code=run.error_code,
        error=run.error,
        finished_at=now,
    )
    done = {"status": TrainingSource.Status.DONE, "status_reason": "", "finished_at": now}
    changes = done if success else _settle_failure(cycle.source, run=run, now=now)
    # A source that staff disabled or cancelled while it ran stays as they left it.
    TrainingSource.objects.filter(pk=cycle.source_id, status=TrainingSource.Status.CLAIMED).update(**changes)
    add_counts(outcomes__success=int(success), outcomes__failure=int(not success))
    announce("outcomes")


def does_count(run: Run) -> bool:
    """Whether a success may be built on: windows count it, and memory and exemplars trust what it teaches.

    What a check found right always may; what is only supported by its quote, while the settings say so. The outcome
    keeps the answer, so that a later change of the setting changes no evidence.
    """
    if run.answer_state == Run.AnswerState.SUPPORTED:
        return read_settings().count_supported
    return run.answer_state == Run.AnswerState.VERIFIED


def _settle_failure(source: TrainingSource, *, run: Run, now: datetime) -> dict[str, Any]:
    # The lock makes a cancel of the campaign wait for this source to be settled, or is waited for here: otherwise a
    # failure at the same moment would put a source of a cancelled campaign back into the queue.
    campaigns = Campaign.objects.select_for_update(no_key=True)
    campaign = campaigns.get(pk=source.campaign_id) if source.campaign_id else None
    return settle_failure(
        source,
        error_code=run.error_code,
        begun=run.started_at is not None,
        cancelled=campaign is not None and campaign.cancelled_at is not None,
        retry_budget=read_settings().retry_budget,
        now=now,
    )


def settle_failure(
    source: TrainingSource, *, error_code: str, begun: bool, cancelled: bool, retry_budget: int, now: datetime
) -> dict[str, Any]:
    """The columns that change of a source whose run failed: it waits again, or is disabled; pure.

    It is disabled when the retry budget is spent. A source whose campaign was cancelled is not tried again. What no
    source can help spends none of its budget, and neither does a run that no worker ever began.
    """
    status = TrainingSource.Status
    blamed = begun and error_code not in BLAMELESS
    failed = source.failed_attempts + int(blamed)
    if cancelled:
        reason = f"Failed with {error_code}; its campaign is cancelled."
        return {"status": status.FAILED, "failed_attempts": failed, "status_reason": reason, "finished_at": now}
    if blamed and failed >= retry_budget:
        reason = f"Retry budget spent: {failed} failed attempts, the last with {error_code}."
        return {"status": status.DISABLED, "failed_attempts": failed, "status_reason": reason, "finished_at": now}
    reason = f"Attempt {failed} failed with {error_code}."
    again = {"status": status.PENDING, "failed_attempts": failed, "status_reason": reason}
    if error_code == ErrorCode.WORKER_LOST:
        # A worker's death says nothing about the site or the question: it keeps its place and needs no rest, not
        # even until now: a claimer whose clock is a moment behind would serve the host's next source instead.
        return again
    again_at = now + RETRY_AFTER[TrainingSource.Kind(source.kind)]
    if source.kind == TrainingSource.Kind.CURRICULUM:
        # A failed task goes behind the new ones: what has not been asked yet teaches more than what just failed.
        again["queue_rank"] = queue_rank(queued_at=again_at, priority=source.priority)
    return {**again, "not_before": again_at}


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
    # Neither long ago nor from before the clock was put back.
    if not broken or abs(now - latest[0][1]) > BREAK_FOR:
        return ""
    return f"The last {BREAK_AFTER} runs ended with {latest[0][0]}; picking pauses for {BREAK_FOR.seconds} s."
