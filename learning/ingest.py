"""Ingest: an outcome becomes memory, exactly once."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Max, QuerySet

from lealife.lib.announce import announce
from learning.memory import Lesson, count_recalls, item_key, lock_memory, store_lessons
from learning.models import CurriculumTask, MemoryItem, RunLearningOutcome
from training.agent.page import canonical_url, parse_page
from training.agent.task import Site
from training.counters import add_counts, read_counters
from training.models import Step, TrainingOutcome
from training.seals import COMMIT_SPREAD

EXTRACT_CHARACTERS = 600
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

    None when it has been ingested already: the lock on the host's memory makes the second caller wait and then
    see it. `error` says why nothing can be learned from it: then only the fact is kept.
    """
    with transaction.atomic():
        outcome = TrainingOutcome.objects.select_related("run", "host").get(pk=outcome_id)
        lock_memory(outcome.host_id)
        if RunLearningOutcome.objects.filter(outcome_id=outcome_id).exists():
            return None
        lessons = [] if error else draw_lessons(outcome)
        written = store_lessons(outcome=outcome, lessons=lessons, now=now)
        shown = [item["id"] for item in outcome.run.memories]
        count_recalls(recalled=shown, helped=outcome.memory_used if outcome.success else [])
        _record_attempt(outcome)
        ingest = RunLearningOutcome.objects.create(
            outcome=outcome, success=outcome.success, items_written=written, error=error
        )
        add_counts(ingested__total=1, ingested__success=int(outcome.success))
        announce("ingest")
        return ingest


def draw_lessons(outcome: TrainingOutcome) -> list[Lesson]:
    """What an outcome teaches: the pages it saw, the page that answered, the situations, the dead ends.

    Only page evidence and our own step records; neither the prompt nor the model's prose becomes memory.
    """
    steps = list(Step.objects.select_related("snapshot").filter(run=outcome.run).order_by("index"))
    site = outcome.host.as_site()
    lessons = [lesson for step in steps if (lesson := _page_lesson(step, site=site))]
    lessons += [lesson for step in steps if (lesson := _pitfall_lesson(step))]
    if outcome.success:
        lessons += _route_lessons(outcome, steps)
        lessons += _exemplar_lessons(outcome, steps)
    return lessons


def _page_lesson(step: Step, *, site: Site) -> Lesson | None:
    if step.snapshot is None or step.error_code:
        return None
    url = canonical_url(step.final_url or step.url)
    page = parse_page(body=step.snapshot.body, media_type=step.snapshot.media_type, url=url, site=site)
    return Lesson(
        kind=MemoryItem.Kind.PAGE,
        key=item_key("page", url),
        url=url,
        title=page.title[:300],
        # Plain text may hold NUL, Postgres cannot.
        text=" ".join(page.text[: EXTRACT_CHARACTERS * 2].replace("\x00", " ").split())[:EXTRACT_CHARACTERS],
        content_hash=step.snapshot.digest,
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
