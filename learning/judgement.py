"""Judgement: what an operator's verdict on an answer means for the memory that came from it.

Only the status of items and their record of having helped move. What they say is page evidence as before: neither
the verdict's note nor the answer's prose becomes memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction
from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.functions import Greatest

from lealife.core.announce import announce
from lealife.core.errors import Conflict
from learning.lessons import is_checked
from learning.memory import lock_memory
from learning.models import MemoryEvidence, MemoryItem, RunLearningOutcome
from training.agent.web.address import canonical_url
from training.models import OperatorVerdict, TrainingOutcome

Status = MemoryItem.Status


@dataclass(frozen=True, slots=True)
class Effect:
    """Ids of the items that a verdict moved, by their new status."""

    trusted: tuple[int, ...] = ()
    quarantined: tuple[int, ...] = ()
    retired: tuple[int, ...] = ()
    # The items that count as having helped now, or no longer do.
    helped: tuple[int, ...] = ()
    unhelped: tuple[int, ...] = ()


def judge_outcome(*, outcome: TrainingOutcome, right: bool, now: datetime) -> Effect:
    """Moves the routes and exemplars that an outcome taught; called before the verdict itself is written.

    Right: quarantined ones are trusted, and so are those that an earlier “wrong” retired. Wrong: an item that no
    other outcome vouches for is retired, the others are quarantined until another run confirms them. Outcomes
    judged wrong vouch for nothing. What the run had followed counts as having helped, or no longer does. Raises
    Conflict while the outcome waits for its ingest. What a person has corrected since then is not the run's any more.
    """
    with transaction.atomic():
        lock_memory(outcome.host_id)
        if not RunLearningOutcome.objects.filter(outcome=outcome).exists():
            raise Conflict(f"Outcome {outcome.pk} has not been ingested yet. Judge this run again in a moment.")
        taught = {
            item.pk: item
            for item in MemoryItem.objects.select_for_update(of=("self",))
            .filter(evidence__outcome=outcome, kind__in=MemoryItem.CLAIMS, replaced_by=None, corrected_by="")
            .order_by("pk")
        }
        effect = _trust(taught) if right else _distrust(taught, outcome=outcome)
        for status in (Status.TRUSTED, Status.QUARANTINED, Status.RETIRED):
            MemoryItem.objects.filter(pk__in=getattr(effect, status)).update(status=status, reason="", updated_at=now)
        effect = replace(effect, **_judge_help(outcome, right=right))
        if effect != Effect():
            announce("ingest")
        return effect


def _judge_help(outcome: TrainingOutcome, *, right: bool) -> dict[str, tuple[int, ...]]:
    """Counts what the run had followed as having helped, or no longer; once, however often the verdict is given."""
    latest = OperatorVerdict.objects.filter(run=outcome.run_id).order_by("-id").values_list("right", flat=True).first()
    checked = is_checked(outcome)
    helped = outcome.success and checked if latest is None else latest
    # Without a quote from its page an item has not brought the answer.
    answered = {canonical_url(quote["url"]) for quote in outcome.run.quotes}
    followed = MemoryItem.objects.filter(pk__in=outcome.memory_used, url__in=answered)
    if latest is None and not checked:
        followed.update(checked_count=F("checked_count") + 1)
    if helped == right:
        return {}
    ids = tuple(followed.order_by("pk").values_list("pk", flat=True))
    if right:
        followed.update(helped_count=F("helped_count") + 1)
        return {"helped": ids}
    followed.update(helped_count=Greatest(F("helped_count") - 1, 0))
    return {"unhelped": ids}


def _trust(taught: dict[int, MemoryItem]) -> Effect:
    wronged = _read_retired_by_verdicts(taught)
    return Effect(
        trusted=tuple(
            pk
            for pk, item in taught.items()
            if item.status == Status.QUARANTINED or (item.status == Status.RETIRED and pk in wronged)
        )
    )


def _read_retired_by_verdicts(taught: dict[int, MemoryItem]) -> set[int]:
    """Which items a verdict retired, unlike those that never helped or that staff took out."""
    teachers = MemoryEvidence.objects.filter(item_id__in=taught).values("outcome__run")
    effects = OperatorVerdict.objects.filter(right=False, run__in=teachers).values_list("effect", flat=True)
    return {pk for effect in effects for pk in effect.get(Status.RETIRED, ())}


def _distrust(taught: dict[int, MemoryItem], *, outcome: TrainingOutcome) -> Effect:
    latest = OperatorVerdict.objects.filter(run=OuterRef("outcome__run")).order_by("-id").values("right")[:1]
    vouched = set(
        MemoryEvidence.objects.filter(item_id__in=taught)
        .exclude(outcome=outcome)
        .annotate(judged_right=Subquery(latest))
        .filter(Q(judged_right=None) | Q(judged_right=True))
        .values_list("item_id", flat=True)
    )
    return Effect(
        quarantined=tuple(pk for pk, item in taught.items() if pk in vouched and item.status == Status.TRUSTED),
        retired=tuple(pk for pk, item in taught.items() if pk not in vouched and item.status != Status.RETIRED),
    )
