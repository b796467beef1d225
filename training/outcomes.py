"""Outcomes: the one row that a finished cycle leaves, and what becomes of its source."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from lealife.core.announce import announce
from lealife.core.statements import run_statement, write_insert
from training.agent.errors import ErrorCode
from training.counters import COUNT_ENDINGS
from training.models import Run, TrainingOutcome, TrainingSource
from training.models.sources import queue_rank

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

# What `Ending` holds, for rows of `moved`: runs that have just ended.
ENDINGS = """
    SELECT moved.id, source.id, source.kind, source.priority, source.failed_attempts, moved.status = 'succeeded',
        moved.error_code, moved.started_at IS NOT NULL, source.campaign_id,
        (SELECT retry_budget FROM training_runtimesettings)
    FROM moved
    LEFT JOIN training_trainingcycle AS cycle ON cycle.run_id = moved.id
    LEFT JOIN training_trainingsource AS source ON source.id = cycle.source_id
    ORDER BY source.id
"""
_LOCK_CAMPAIGNS = """
    SELECT id, cancelled_at IS NOT NULL FROM training_campaign WHERE id = ANY(%(campaigns)s::bigint[])
    ORDER BY id FOR SHARE
"""
_READ_ENDING = f"WITH moved AS (SELECT * FROM training_run WHERE id = %(run)s) {ENDINGS}"  # noqa: S608  constants
_FROM_RUN = {
    field.column: f"run.{field.column}"
    for field in TrainingOutcome._meta.concrete_fields
    if field.column in {other.column for other in Run._meta.concrete_fields} - {"id", "created_at"}
}
_OUTCOME = write_insert(
    TrainingOutcome,
    "FROM settled JOIN moved AS run ON run.id = settled.run_id "
    "JOIN training_trainingcycle AS cycle ON cycle.run_id = run.id",
    **_FROM_RUN,
    cycle_id="cycle.id",
    run_id="run.id",
    source_id="cycle.source_id",
    success="run.status = 'succeeded'",
)
SETTLEMENT = """
    held text, status text, failed_attempts smallint, reason text, finished_at timestamptz, not_before timestamptz,
    queue_rank float8
"""
# The end of a statement whose `moved` are the rows of runs that have ended, and `settled` what becomes of their
# sources. One that staff disabled or cancelled while it ran stays as they left it; the status it must have comes as
# a column: compared with a constant, few rows are expected to have it and all are read to find them.
CLOSE = f"""
    outcome AS ({_OUTCOME} RETURNING success),
    closed AS (
        UPDATE training_trainingcycle AS cycle
        SET status = CASE run.status WHEN 'succeeded' THEN 'succeeded' ELSE 'failed' END,
            error_code = run.error_code, error = run.error, finished_at = %(now)s::timestamptz
        FROM settled JOIN moved AS run ON run.id = settled.run_id WHERE cycle.run_id = run.id
    ), freed AS (
        UPDATE training_trainingsource AS source
        SET status = settled.status, status_reason = settled.reason,
            failed_attempts = coalesce(settled.failed_attempts, source.failed_attempts),
            finished_at = coalesce(settled.finished_at, source.finished_at),
            not_before = coalesce(settled.not_before, source.not_before),
            queue_rank = coalesce(settled.queue_rank, source.queue_rank)
        FROM settled JOIN training_trainingcycle AS cycle ON cycle.run_id = settled.run_id
        WHERE source.id = cycle.source_id AND source.status = settled.held
    ), {COUNT_ENDINGS.format(what="outcomes", rows="outcome")}
    SELECT ARRAY(SELECT id FROM moved), (SELECT count(*) FROM added)
"""  # noqa: S608  constants of our own, and placeholders
_CLOSE_ENDED = f"""
    WITH settled AS (
        SELECT * FROM jsonb_to_recordset(%(settled)s::jsonb) AS settled (run_id bigint, {SETTLEMENT})
    ), moved AS (
        SELECT run.* FROM settled JOIN training_run AS run ON run.id = settled.run_id
    ), {CLOSE}
"""  # noqa: S608  constants of our own, and placeholders


@dataclass(frozen=True, slots=True)
class Ending:
    """A cycle whose run has ended, with what decides about its source."""

    run_id: int
    source_id: int
    kind: str
    priority: int
    failed_attempts: int
    success: bool
    error_code: str
    begun: bool  # by a worker, at any time
    campaign_id: int | None
    retry_budget: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of a source; None keeps what it has."""

    status: str
    failed_attempts: int | None
    reason: str
    finished_at: datetime | None = None
    not_before: datetime | None = None
    queue_rank: float | None = None
    held: str = TrainingSource.Status.CLAIMED  # what the source must be to be settled


DONE = Settlement(TrainingSource.Status.DONE, None, "")


def close_cycle(*, run: Run, now: datetime) -> None:
    """Finalises the cycle of a finished run into its outcome, within the caller's transaction.

    The unique constraint on the cycle makes a second outcome impossible, whatever raced.
    """
    close_cycles(endings=[Ending(*row) for row in run_statement(_READ_ENDING, {"run": run.pk})], now=now)


def close_cycles(*, endings: Sequence[Ending], now: datetime) -> None:
    """Finalises cycles whose runs have ended in the caller's transaction: outcomes, cycles, sources, counters."""
    if not endings:
        return
    cancelled = _lock_campaigns(endings)
    settled = [
        {
            "run_id": ending.run_id,
            **asdict(settle_source(ending, cancelled=ending.campaign_id in cancelled, now=now)),
        }
        for ending in endings
    ]
    run_statement(_CLOSE_ENDED, {"settled": json.dumps(settled, default=datetime.isoformat), "now": now})
    announce("outcomes")


def _lock_campaigns(endings: Sequence[Ending]) -> set[int]:
    # Whoever cancels a campaign waits for these sources to be settled, or has been waited for: otherwise a failure
    # settled at the same moment would put a source of a cancelled campaign back into the queue.
    ids = sorted({ending.campaign_id for ending in endings if ending.campaign_id is not None and not ending.success})
    rows = run_statement(_LOCK_CAMPAIGNS, {"campaigns": ids}) if ids else []
    return {campaign_id for campaign_id, is_cancelled in rows if is_cancelled}


def settle_source(ending: Ending, *, cancelled: bool, now: datetime) -> Settlement:
    """Done after a success; after a failure waiting again, or disabled when the retry budget is spent; pure.

    A source whose campaign was cancelled is not tried again; what no source can help spends none of its budget,
    and neither does a run that no worker ever began.
    """
    status, code = TrainingSource.Status, ending.error_code
    if ending.success:
        return replace(DONE, finished_at=now)
    blamed = code not in BLAMELESS and ending.begun
    failed = ending.failed_attempts + int(blamed)
    if cancelled:
        return Settlement(status.FAILED, failed, f"Failed with {code}; its campaign is cancelled.", finished_at=now)
    if failed >= ending.retry_budget and blamed:
        reason = f"Retry budget spent: {failed} failed attempts, the last with {code}."
        return Settlement(status.DISABLED, failed, reason, finished_at=now)
    if code == ErrorCode.WORKER_LOST:
        # A worker's death says nothing about the site or the question: it keeps its place and needs no rest, not
        # even until now: a claimer whose clock is a moment behind would serve the host's next source instead.
        return Settlement(status.PENDING, failed, f"Attempt {failed} failed with {code}.")
    again_at = now + RETRY_AFTER[TrainingSource.Kind(ending.kind)]
    # A failed task goes behind the new ones: what has not been asked yet teaches more than what just failed.
    behind = ending.kind == TrainingSource.Kind.CURRICULUM
    return Settlement(
        status.PENDING,
        failed,
        f"Attempt {failed} failed with {code}.",
        not_before=again_at,
        queue_rank=queue_rank(queued_at=again_at, priority=ending.priority) if behind else None,
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
    # Neither long ago nor from before the clock was put back.
    if not broken or abs(now - latest[0][1]) > BREAK_FOR:
        return ""
    return f"The last {BREAK_AFTER} runs ended with {latest[0][0]}; picking pauses for {BREAK_FOR.seconds} s."
