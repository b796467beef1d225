"""Ingest: an outcome becomes memory, exactly once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import F, Max, OuterRef, QuerySet, Subquery
from django.db.models.lookups import IsNull

from lealife.core.announce import announce
from lealife.core.errors import NotFound
from learning.expiry import expire_lessons
from learning.index.indexing import Reading, follow_readings
from learning.lessons import Visit, draw_lessons, find_vouched, is_checked, read_visits
from learning.memory import count_recalls, lock_memory, store_lessons
from learning.models import CurriculumTask, MemoryItem, RunLearningOutcome
from training.agent.brain import VISITABLE_KINDS
from training.counters import add_counts, read_counters
from training.models import TrainingOutcome
from training.outcomes import UNSERVED
from training.seals import COMMIT_SPREAD

# Outcomes that wait are looked for among so many ids below the newest that was ingested: enough for those that other
# processes have in hand, and quickly looked through.
NEAR = 100
# The columns that an ingest reads: an outcome and its run have fifty more.
READ = (
    *("success", "answer_state", "is_counted", "error_code", "verifier", "memory_used", "host_id", "source_id"),
    *("run__prompt", "run__check_spec", "run__memories", "run__quotes"),
)


def read_backlog() -> int:
    """Outcomes not ingested yet, from counters."""
    counts = read_counters()
    return max(0, counts["outcomes.total"] - counts["ingested.total"])


def read_uningested(*, spread: int = COMMIT_SPREAD) -> QuerySet[TrainingOutcome]:
    """Outcomes without an ingest, oldest first.

    `spread` says how many ids below the newest ingested one are looked at: outcomes commit out of order.
    """
    last = RunLearningOutcome.objects.aggregate(last=Max("outcome_id"))["last"] or 0
    # A subquery that Postgres answers by index for each outcome, where a join may read the whole history.
    ingest = Subquery(RunLearningOutcome.objects.filter(outcome=OuterRef("pk")).order_by().values("pk"))
    return TrainingOutcome.objects.filter(IsNull(ingest, True), pk__gt=last - spread).order_by("pk")


def lock_waiting_outcome() -> int | None:
    """The oldest outcome that waits for its ingest and that no other process has in hand; None without any.

    It is locked until the caller's transaction ends.
    """
    found = _lock_first(read_uningested(spread=NEAR))
    if found is None and read_backlog():
        # One that committed long after its neighbours lies further back.
        found = _lock_first(read_uningested())
    return found


def _lock_first(outcomes: QuerySet[TrainingOutcome]) -> int | None:
    # An outcome is never updated, so this lock is all that two ingests of one can meet at.
    locked = outcomes.select_for_update(no_key=True, skip_locked=True)
    return locked.values_list("pk", flat=True).first()


def ingest_outcome(*, outcome_id: int, now: datetime, error: str = "") -> RunLearningOutcome | None:
    """Turns one outcome into memory, counters and the fact of its ingest, in one transaction.

    None when it has been ingested already. `error` says why nothing can be learned from it: then only the fact is
    kept. Raises NotFound.
    """
    with transaction.atomic():
        outcomes = TrainingOutcome.objects.select_for_update(of=("self",), no_key=True)
        try:
            outcome = outcomes.select_related("run").only("run", *READ).get(pk=outcome_id)
        except TrainingOutcome.DoesNotExist:
            raise NotFound(f"There is no outcome {outcome_id}.") from None
        # The row lock waited for any other ingest of it, and this query sees what that one committed.
        if RunLearningOutcome.objects.filter(outcome=outcome).exists():
            return None
        lock_memory(outcome.host_id)
        written = _learn(outcome, now=now, error=error)
        fact = RunLearningOutcome.objects.create(
            outcome=outcome,
            success=outcome.success,
            is_counted=outcome.is_counted,
            items_written=written,
            error=error,
        )
        add_counts(**count_ingest(outcome))
        announce("ingest")
        return fact


def count_ingest(outcome: TrainingOutcome) -> dict[str, int]:
    """What an ingest adds to the counters: how the run ended, and how sure a success is that counts; pure."""
    counted = {f"ingested__{outcome.answer_state}": 1} if outcome.is_counted else {}
    return {"ingested__success" if outcome.success else "ingested__failure": 1, **counted}


def _learn(outcome: TrainingOutcome, *, now: datetime, error: str) -> int:
    visits = [] if error else read_visits(outcome)
    vouched = find_vouched(outcome, visits)
    lessons = [] if error else draw_lessons(outcome, visits, vouched=vouched)
    written = store_lessons(outcome=outcome, lessons=lessons, now=now)
    expire_lessons(host_id=outcome.host_id, visits=visits, now=now)
    follow_readings(host_id=outcome.host_id, readings=_list_readings(outcome, visits), now=now)
    shown = [item["id"] for item in outcome.run.memories if item.get("kind", "page") in VISITABLE_KINDS]
    # What was followed helped when its own page passes the check, not when another page of the run does.
    helped = MemoryItem.objects.filter(pk__in=outcome.memory_used, url__in=vouched).values_list("pk", flat=True)
    count_recalls(recalled=shown, helped=helped, checked=is_checked(outcome), now=now)
    if outcome.error_code not in UNSERVED:
        _record_attempt(outcome)
    return written


def _list_readings(outcome: TrainingOutcome, visits: Iterable[Visit]) -> list[Reading]:
    """What the run read, once a page, and whether memory trusts what the page says."""
    pages = {visit.url: (visit, visit.page) for visit in visits if visit.page is not None}
    if not pages:
        return []
    items = MemoryItem.objects.recallable().filter(host_id=outcome.host_id, kind=MemoryItem.Kind.PAGE)
    said = {url: page.content_digest for url, (_, page) in pages.items()}
    trusted = set(items.filter(content_hash__in=said.values()).values_list("content_hash", flat=True))
    return [
        Reading(url, page, visit.step.snapshot_id or "", is_trusted=said[url] in trusted)
        for url, (visit, page) in pages.items()
    ]


def _record_attempt(outcome: TrainingOutcome) -> None:
    CurriculumTask.objects.filter(source_id=outcome.source_id).update(
        attempts=F("attempts") + 1,
        successes=F("successes") + int(outcome.success),
        streak=F("streak") + 1 if outcome.success else 0,
    )
