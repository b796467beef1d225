"""Calibration: how often answers were right here, by how likely they were said to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from operator import itemgetter
from typing import Any

from django.db.models import BooleanField, ExpressionWrapper, Q, Value

from promotion.models import ModelTag, Role
from promotion.recipes import Recipe
from training.agent.ranking import FIRST_SUPPORT, FIRST_WEIGHTS, Support, Weights
from training.models import OperatorVerdict, Run
from training.models.runs import TEXT_CHECKS, is_scored_freely

# So many checked answers, and as many judged ones, are read: the newest.
NEWEST = 300
# How likely the answer was said to be, and whether it was right.
Measured = tuple[float, bool]
# A support with another threshold measures alike.
CURVE = ("lead_intercept", "lead", "intercept", "score", "words_intercept", "words")


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A threshold, and how many of the answers at or above it were right."""

    threshold: float
    right: int
    answers: int


def count_above(measured: Sequence[Measured], *, threshold: float) -> Calibrated:
    """How many of the answers at or above a threshold were right. Pure."""
    above = [is_right for score, is_right in measured if score >= threshold]
    return Calibrated(threshold, sum(above), len(above))


def read_calibration(*, controller: ModelTag, task: ModelTag) -> Calibrated:
    """How many of this installation's checked answers at or above the task tag's threshold were right."""
    support = Recipe.from_json(task.recipe).used_support
    measured = read_measured(weights=Recipe.from_json(controller.recipe).used_weights, support=support)
    return count_above(measured, threshold=support.threshold)


def read_measured(*, weights: Weights, support: Support) -> list[Measured]:
    """The newest answers that a check or a person found right or wrong, scored by these weights and this support.

    A person's last verdict counts more than a check. One query, of the newest 300 of either kind.
    """
    is_right = Q(status=Run.Status.SUCCEEDED)
    checked = (
        Run.objects.checked()
        # What failed for another reason, such as too few pages, may be right or wrong.
        .filter(_served_alike("", weights=weights, support=support), is_right | Q(verifier__in=TEXT_CHECKS))
        .order_by("-pk")
        .values_list("pk", "answer_score", ExpressionWrapper(is_right, BooleanField()), Value(0))
    )
    judged = (
        OperatorVerdict.objects.filter(
            _served_alike("run__", weights=weights, support=support), is_scored_freely("run__")
        )
        .order_by("-pk")
        .values_list("run", "run__answer_score", "right", "pk")
    )
    rows = checked[:NEWEST].union(judged[:NEWEST], all=True)
    # The last verdict on a run stands at the end, a check at the beginning.
    measured = {run: (score, right) for run, score, right, _ in sorted(rows, key=itemgetter(3))}
    return list(measured.values())


def _served_alike(prefix: str, *, weights: Weights, support: Support) -> Q:
    """Of runs whose tags rank by these weights and measure support in this way: their scores mean the same."""
    controllers = _name_tags(Role.CONTROLLER, "weights", values=asdict(weights), first=asdict(FIRST_WEIGHTS))
    curve = {name: getattr(support, name) for name in CURVE}
    tasks = _name_tags(Role.TASK, "support", values=curve, first=asdict(FIRST_SUPPORT))
    return Q(**{f"{prefix}controller_tag__in": controllers, f"{prefix}task_tag__in": tasks})


def _name_tags(role: str, part: str, *, values: dict[str, float], first: dict[str, Any]) -> Any:
    """The names of the role's tags whose recipes have these values; what a recipe does not name is the first one's."""
    alike = Q()
    for name, value in values.items():
        given = Q(recipe__contains={part: {name: value}})
        missing = ~Q(recipe__has_key=part) | ~Q(**{f"recipe__{part}__has_key": name})
        alike &= given | missing if value == first[name] else given
    return ModelTag.objects.filter(alike, role=role).order_by().values("name")
