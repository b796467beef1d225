"""Uplift: what a recalled item is worth, measured on items that were withheld by chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

from django.db.models import Count, Func, IntegerField, Q, Sum

from learning.models import MemoryCount
from training.models import Run

# The newest training runs that ended with an outcome are looked at: the estimate is of today's memory, and costs the
# same for ever.
LOOKED_AT = 2_000
# Fewer runs than this with a withheld item say nothing.
LEAST_RUNS = 20
# Two-sided 95 % of the normal distribution.
Z = 1.96


class _CountVisitable(Func):
    """How many of a run's memory items say where to go. Only these are compared: others are never withheld."""

    template = (
        "jsonb_array_length(jsonb_path_query_array(%(expressions)s, "
        """'$[*] ? (@.kind == "page" || @.kind == "route")'))"""
    )
    output_field = IntegerField()


@dataclass(frozen=True, slots=True)
class Uplift:
    """Success with an item given minus success with it withheld, in percentage points, with the half width of its
    95 % interval; both None while too few runs had an item withheld.
    """

    points: float | None
    half_width: float | None
    runs_withheld: int
    runs_given: int

    @property
    def sentence(self) -> str:
        if self.points is None or self.half_width is None:
            return f"Unknown yet: {self.runs_withheld} of {LEAST_RUNS} runs needed had an item withheld at random."
        found = f"{self.points:+.1f} percentage points, ± {self.half_width:.1f}"
        helps = self.points - self.half_width > 0
        return f"{found}: a recalled item {'helps' if helps else 'is not shown to help'}."


@dataclass(frozen=True, slots=True)
class Standing:
    """How memory stands: items by `kind/status`, and the measured uplift."""

    counts: dict[str, int]
    uplift: Uplift


def read_standing() -> Standing:
    """The counts, and the estimate over the newest training outcomes. Two queries."""
    counted = MemoryCount.objects.values_list("name").annotate(items=Sum("count")).exclude(items=0)
    return Standing(dict(counted), estimate_uplift(**_sum_newest()))


def _sum_newest() -> dict[str, int]:
    status = Run.Status
    ended = Run.objects.filter(lane=Run.Lane.TRAINING, status__in=[status.SUCCEEDED, status.FAILED])
    kept = Func("memory_withheld", function="jsonb_array_length", output_field=IntegerField())
    newest = ended.annotate(shown=_CountVisitable("memories"), kept=kept)
    succeeded = Q(status=status.SUCCEEDED)
    return newest.order_by("-id")[:LOOKED_AT].aggregate(
        given=Sum("shown", default=0),
        given_successes=Sum("shown", filter=succeeded, default=0),
        withheld=Sum("kept", default=0),
        withheld_successes=Sum("kept", filter=succeeded, default=0),
        runs_given=Count("pk", filter=Q(shown__gt=0)),
        runs_withheld=Count("pk", filter=Q(kept__gt=0)),
    )


def estimate_uplift(
    given: int, given_successes: int, withheld: int, withheld_successes: int, runs_given: int, runs_withheld: int
) -> Uplift:
    """Difference of two proportions over (run, item) pairs; pure.

    Whether an item is withheld is drawn for each pair alone, so both kinds of pairs come from the same tasks. Pairs
    of one run succeed together: the interval counts runs, not pairs.
    """
    if runs_withheld < LEAST_RUNS or not given or not withheld:
        return Uplift(None, None, runs_withheld, runs_given)
    with_item, without = given_successes / given, withheld_successes / withheld
    variance = with_item * (1 - with_item) / runs_given + without * (1 - without) / runs_withheld
    return Uplift(100 * (with_item - without), 100 * Z * math.sqrt(variance), runs_withheld, runs_given)
