"""Ingest: an outcome becomes memory, exactly once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Max, QuerySet

from lealife.core.announce import announce
from lealife.core.errors import NotFound
from lealife.core.statements import run_statement, run_steadily, write_insert
from learning.expiry import expire_lessons
from learning.lessons import draw_lessons, find_vouched, is_checked, read_visits
from learning.memory import count_recalls, lock_memory, store_lessons
from learning.models import CurriculumTask, MemoryItem, RunLearningOutcome
from training.agent.brain import VISITABLE_KINDS
from training.counters import COUNT_ENDINGS, read_counters
from training.models import TrainingOutcome
from training.outcomes import UNSERVED
from training.seals import COMMIT_SPREAD

# Outcomes that wait are looked for below the newest that was ingested: so many ids, and room for a few batches that
# other processes have in hand. Each id costs a look at whether it has been ingested.
NEAR = 16
BATCHES = 4
_PICK = """
    SELECT outcome.id, outcome.host_id, outcome.success,
        (SELECT memories <> '[]' FROM training_run AS run WHERE run.id = outcome.run_id)
        OR EXISTS (SELECT FROM training_step AS step WHERE step.run_id = outcome.run_id)
        OR (SELECT kind = 'curriculum' FROM training_trainingsource AS source WHERE source.id = outcome.source_id)
    FROM training_outcomes AS outcome
"""
_ONE = f"{_PICK} WHERE outcome.id = %(outcome)s FOR NO KEY UPDATE"
_NEXT = f"""{_PICK}
    WHERE outcome.id > (SELECT coalesce(max(outcome_id), 0) FROM run_learning_outcomes) - %(spread)s::bigint
      AND (SELECT true FROM run_learning_outcomes AS fact WHERE fact.outcome_id = outcome.id) IS NULL
    ORDER BY outcome.id LIMIT %(limit)s::int FOR NO KEY UPDATE SKIP LOCKED
"""  # noqa: S608  constants of our own, and placeholders
# Migration 0004 tells how.
_PLAIN = "SELECT kept, teaching FROM learning_ingest_plain(%(limit)s::int, %(spread)s::bigint)"
_KNOWN = "SELECT outcome_id FROM run_learning_outcomes WHERE outcome_id = ANY(%(outcomes)s::bigint[])"
_FACTS = write_insert(
    RunLearningOutcome,
    "FROM unnest(%(outcomes)s::bigint[], %(successes)s::bool[], %(written)s::int[]) "
    "AS fact (outcome, success, written)",
    outcome_id="fact.outcome",
    success="fact.success",
    items_written="fact.written",
    error="%(error)s",
)
_KEEP = f"""
    WITH kept AS ({_FACTS} ON CONFLICT DO NOTHING RETURNING outcome_id, success),
    {COUNT_ENDINGS.format(what="ingested", rows="kept")}
    SELECT ARRAY(SELECT outcome_id FROM kept), (SELECT count(*) FROM added)
"""  # noqa: S608  constants of our own, and placeholders


@dataclass(frozen=True, slots=True)
class Picked:
    """An outcome to ingest; `teaches` says whether memory or the curriculum has anything to take from it."""

    outcome_id: int
    host_id: int
    success: bool
    teaches: bool


def read_backlog() -> int:
    """Outcomes not ingested yet, from counters."""
    counts = read_counters()
    return max(0, counts["outcomes.total"] - counts["ingested.total"])


def read_uningested() -> QuerySet[TrainingOutcome]:
    """Outcomes without an ingest, oldest first."""
    last = RunLearningOutcome.objects.aggregate(last=Max("outcome_id"))["last"] or 0
    ingested = RunLearningOutcome.objects.filter(outcome_id__gt=last - COMMIT_SPREAD).values("outcome_id")
    return TrainingOutcome.objects.filter(pk__gt=last - COMMIT_SPREAD).exclude(pk__in=ingested).order_by("pk")


def ingest_outcome(*, outcome_id: int, now: datetime, error: str = "") -> RunLearningOutcome | None:
    """Turns one outcome into memory, counters and the fact of its ingest, in one transaction.

    None when it has been ingested already. `error` says why nothing can be learned from it: then only the fact is
    kept. Raises NotFound.
    """
    with transaction.atomic():
        picked = run_steadily((_ONE, {"outcome": outcome_id}), relaxed=True)
        if not picked:
            raise NotFound(f"There is no outcome {outcome_id}.")
        kept = _ingest(picked, now=now, error=error)
        return RunLearningOutcome.objects.get(outcome_id=outcome_id) if kept else None


def ingest_next(*, now: datetime, limit: int, spread: int | None = None) -> list[int]:
    """Ingests the oldest outcomes that wait, at most `limit`, in one transaction; returns their ids.

    Looked for among the newest `spread` ids, by default as many as are looked through in no time; outcomes that
    another process ingests just now are passed over. Raises what a lesson raises, and then none of them is ingested.
    """
    spread = spread or NEAR + BATCHES * limit
    [(kept, teaching)] = run_statement(_PLAIN, {"limit": limit, "spread": spread})
    if not teaching:
        if kept:
            announce("ingest")
        return kept
    with transaction.atomic():
        # An ingest that a crash of Postgres takes back, memory and fact together, is done again.
        return _ingest(run_steadily((_NEXT, {"limit": limit, "spread": spread}), relaxed=True), now=now)


def _ingest(picked: list[tuple[Any, ...]], *, now: datetime, error: str = "") -> list[int]:
    waiting = {row[0]: Picked(*row) for row in picked}
    teaching = [one.outcome_id for one in waiting.values() if one.teaches]
    written = dict.fromkeys(waiting, 0)
    if teaching:
        # Their rows are locked: a process that had one before has committed, which only a new statement sees.
        known = {row[0] for row in run_statement(_KNOWN, {"outcomes": teaching})}
        lock_memory(*[waiting[outcome_id].host_id for outcome_id in teaching])
        outcomes = TrainingOutcome.objects.select_related("run", "host").in_bulk(set(teaching) - known)
        for outcome_id in sorted(outcomes):
            written[outcome_id] = _learn(outcomes[outcome_id], now=now, error=error)
    if not waiting:
        return []
    facts = {
        "outcomes": list(waiting),
        "successes": [one.success for one in waiting.values()],
        "written": list(written.values()),
        "error": error,
    }
    [(kept, _)] = run_statement(_KEEP, facts)
    announce("ingest")
    return kept


def _learn(outcome: TrainingOutcome, *, now: datetime, error: str) -> int:
    visits = [] if error else read_visits(outcome)
    vouched = find_vouched(outcome, visits)
    lessons = [] if error else draw_lessons(outcome, visits, vouched=vouched)
    written = store_lessons(outcome=outcome, lessons=lessons, now=now)
    expire_lessons(host_id=outcome.host_id, visits=visits, now=now)
    shown = [item["id"] for item in outcome.run.memories if item.get("kind", "page") in VISITABLE_KINDS]
    # What was followed helped when its own page passes the check, not when another page of the run does.
    helped = MemoryItem.objects.filter(pk__in=outcome.memory_used, url__in=vouched).values_list("pk", flat=True)
    count_recalls(recalled=shown, helped=helped, checked=is_checked(outcome), now=now)
    if outcome.error_code not in UNSERVED:
        _record_attempt(outcome)
    return written


def _record_attempt(outcome: TrainingOutcome) -> None:
    task = CurriculumTask.objects.select_for_update().filter(source_id=outcome.source_id).first()
    if task is None:
        return
    task.attempts += 1
    task.successes += int(outcome.success)
    task.streak = task.streak + 1 if outcome.success else 0
    task.save(update_fields=["attempts", "successes", "streak"])
