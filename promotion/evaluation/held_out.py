"""Held-out success: what the tags that serve now, and the first ones, make of questions that training never asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Avg, Count, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import JSONObject

from promotion.gate.pairs import PairResult
from promotion.models import Evaluation, EvaluationPair
from promotion.routing import Routing

# An evaluation with fewer counted pairs is no measurement.
LEAST_QUESTIONS = 5
_VALID = ~Q(result=PairResult.INVALID)


@dataclass(frozen=True, slots=True)
class Measured:
    """One tag pair on `questions` held-out questions: share of successes in [0, 1] and mean controller calls."""

    questions: int
    success: float
    calls: float
    at: datetime


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The tags that serve now, and `before` them the first that were measured; None when these serve still."""

    now: Measured
    before: Measured | None


def read_held_out(*, routing: Routing) -> HeldOut | None:
    """The newest measurement of the tags that serve now, next to the first of all; None without one. One query.

    The first is the baseline of the first evaluation. The newest is either arm of the newest evaluation of a serving
    tag, as far as both tags served that arm. Reads two evaluations, however many there are.
    """
    if routing.controller is None or routing.task is None:
        return None
    serving = [routing.controller.pk, routing.task.pk]
    measured = Evaluation.objects.exclude(verdict=Evaluation.Verdict.PENDING).order_by("id")
    measured = measured.annotate(counted=F("wins") + F("losses") + F("ties")).filter(counted__gte=LEAST_QUESTIONS)
    of_serving = measured.filter(Q(candidate__in=serving) | Q(baseline__in=serving)).order_by("-id")
    wanted = Q(pk=Subquery(measured.values("pk")[:1])) | Q(pk=Subquery(of_serving.values("pk")[:1]))
    found: list[Any] = list(_select_measured(routing).filter(wanted).select_related("candidate").order_by("id"))
    if not found:
        return None
    first, newest = found[0], found[-1]
    arm = next((arm for arm in ("candidate", "baseline") if newest.arms[f"{arm}_now"] >= LEAST_QUESTIONS), "")
    if not arm:
        return None
    now = _view(newest, arm=f"{arm}_now")
    is_first = newest.pk == first.pk and arm == "baseline"
    # The answers of a candidate for the task role are checked more strictly.
    is_alike = newest.candidate.role == first.candidate.role
    return HeldOut(now=now, before=_view(first, arm="baseline") if is_alike and not is_first else None)


def _select_measured(routing: Routing) -> QuerySet[Evaluation]:
    """Evaluations with what is counted over both arms; `_now`: over the arms that both serving tags answered."""
    controller, task = routing.require()
    counts: dict[str, Any] = {}
    for arm in ("candidate", "baseline"):
        # By name, which is of the recipe: a server that makes the same recipe again may give it another digest.
        serving = Q(**{f"{arm}_arm__run__controller_tag": controller.name, f"{arm}_arm__run__task_tag": task.name})
        for name, which in ((arm, _VALID), (f"{arm}_now", _VALID & serving)):
            counts[name] = Count("id", filter=which)
            counts[f"{name}_successes"] = Count("id", filter=which & Q(**{f"{arm}_arm__success": True}))
            counts[f"{name}_calls"] = Avg(f"{arm}_arm__controller_calls", filter=which)
    pairs = EvaluationPair.objects.filter(evaluation=OuterRef("pk")).order_by().values("evaluation")
    return Evaluation.objects.annotate(arms=Subquery(pairs.annotate(counts=JSONObject(**counts)).values("counts")))


def _view(evaluation: Any, *, arm: str) -> Measured:
    questions = evaluation.arms[arm]
    return Measured(
        questions=questions,
        success=evaluation.arms[f"{arm}_successes"] / questions,
        calls=float(evaluation.arms[f"{arm}_calls"]),
        at=evaluation.started_at,
    )
