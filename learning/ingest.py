"""Ingest: an outcome becomes memory, exactly once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Max, QuerySet

from lealife.lib.announce import announce
from lealife.lib.errors import NotFound
from lealife.lib.statements import run_statement, run_steadily, write_insert
from learning.memory import Lesson, count_recalls, item_key, lock_memory, store_lessons
from learning.models import CurriculumTask, MemoryItem, RunLearningOutcome
from training.agent.page import ParsedPage, canonical_url, parse_kept
from training.agent.task import Site
from training.counters import COUNT_ENDINGS, read_counters
from training.models import Step, TrainingOutcome
from training.seals import COMMIT_SPREAD

EXTRACT_CHARACTERS = 600
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


PITFALL_CODES = {"fetch_failed", "blocked_by_policy", "not_html", "too_large", "redirect_loop"}


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
        # Their rows are locked: whoever had one before has committed its ingest, which only a new statement sees.
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
    lessons = [] if error else draw_lessons(outcome)
    written = store_lessons(outcome=outcome, lessons=lessons, now=now)
    shown = [item["id"] for item in outcome.run.memories]
    count_recalls(recalled=shown, helped=outcome.memory_used if outcome.success else [])
    _record_attempt(outcome)
    return written


def draw_lessons(outcome: TrainingOutcome) -> list[Lesson]:
    """What an outcome teaches: the pages it saw, the page that answered, the situations, the dead ends.

    Only page evidence and our own step records; neither the prompt nor the model's prose becomes memory.
    """
    steps = list(Step.objects.select_related("snapshot").filter(run=outcome.run).order_by("index"))
    site = outcome.host.as_site()
    pages = [(step, page) for step in steps if (page := _read_kept(step, site=site))]
    lessons = [_page_lesson(step, page) for step, page in pages]
    lessons += [lesson for step in steps if (lesson := _pitfall_lesson(step))]
    kept = {step.snapshot_id for step, _ in pages}
    # A site that asks us to keep nothing of a page asks so of its quotes too.
    if outcome.success and all(quote["digest"] in kept for quote in outcome.run.quotes):
        lessons += _route_lessons(outcome, steps)
        lessons += _exemplar_lessons(outcome, steps)
    return lessons


def _read_kept(step: Step, *, site: Site) -> ParsedPage | None:
    if step.snapshot is None or step.error_code:
        return None
    url = canonical_url(step.final_url or step.url)
    return parse_kept(body=step.snapshot.body, media_type=step.snapshot.media_type, url=url, site=site)


def _page_lesson(step: Step, page: ParsedPage) -> Lesson:
    return Lesson(
        kind=MemoryItem.Kind.PAGE,
        key=item_key("page", page.url),
        url=page.url,
        title=page.title[:300],
        # Plain text may hold NUL, Postgres cannot.
        text=" ".join(page.text[: EXTRACT_CHARACTERS * 2].replace("\x00", " ").split())[:EXTRACT_CHARACTERS],
        content_hash=step.snapshot_id,
        searched=page.text,
    )


def _pitfall_lesson(step: Step) -> Lesson | None:
    if step.error_code not in PITFALL_CODES:
        return None
    url = canonical_url(step.url)
    return Lesson(
        kind=MemoryItem.Kind.PITFALL,
        key=item_key("pitfall", url, step.error_code),
        url=url,
        title=step.error_code,
        text=step.error[:EXTRACT_CHARACTERS],
        # Two failures of one kind at one address are the same sighting twice.
        content_hash=item_key("pitfall", url, step.error_code),
        searched="",
        data={"error_code": step.error_code},
    )


def _route_lessons(outcome: TrainingOutcome, steps: list[Step]) -> list[Lesson]:
    titles = {canonical_url(step.final_url or step.url): step.title for step in steps}
    lessons = []
    for quote in outcome.run.quotes:
        url = canonical_url(quote["url"])
        lessons.append(
            Lesson(
                kind=MemoryItem.Kind.ROUTE,
                key=item_key("route", url, quote["text"]),
                url=url,
                title=titles.get(url, "")[:300],
                text=quote["text"][:EXTRACT_CHARACTERS],
                content_hash=quote["digest"],
                searched=quote["text"],
                data={"path": [step.url for step in steps if not step.error_code]},
            )
        )
    return lessons


def _exemplar_lessons(outcome: TrainingOutcome, steps: list[Step]) -> list[Lesson]:
    answered = {canonical_url(quote["url"]): quote["digest"] for quote in outcome.run.quotes}
    lessons = []
    for step in steps:
        choices = [canonical_url(choice["url"]) for choice in step.shortlist]
        right = next((index for index, url in enumerate(choices) if url in answered), None)
        if right is None or len(choices) < 2 or step.snapshot is None:
            continue
        lessons.append(
            Lesson(
                kind=MemoryItem.Kind.EXEMPLAR,
                key=item_key("exemplar", outcome.run.prompt, choices),
                url=choices[right],
                title=step.shortlist[right]["title"][:300],
                text="",
                # Confirmed when the page that answered is: by an independent look at the same content.
                content_hash=answered[choices[right]],
                searched="",
                data={"run": outcome.run_id, "step": step.index, "right": right, "size": len(choices)},
            )
        )
    return lessons


def _record_attempt(outcome: TrainingOutcome) -> None:
    task = CurriculumTask.objects.select_for_update().filter(source_id=outcome.source_id).first()
    if task is None:
        return
    task.attempts += 1
    task.successes += int(outcome.success)
    task.streak = task.streak + 1 if outcome.success else 0
    task.save(update_fields=["attempts", "successes", "streak"])
