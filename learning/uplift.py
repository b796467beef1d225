"""Uplift: what a recalled item is worth, measured on items that were withheld by chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lealife.core.statements import run_statement

# The newest training runs that ended with an outcome are looked at: the estimate is of today's memory, and costs the
# same for ever.
LOOKED_AT = 2_000
# Fewer runs than this with a withheld item say nothing.
LEAST_RUNS = 20
# Two-sided 95 % of the normal distribution.
Z = 1.96
# Addresses to avoid are never withheld: only what says where to go is compared.
VISITABLE = '$[*] ? (!(@.kind == "pitfall" || @.kind == "misled"))'
_READ = f"""
    WITH newest AS (
        SELECT (status = 'succeeded')::int AS success,
            jsonb_array_length(jsonb_path_query_array(memories, '{VISITABLE}')) AS given,
            jsonb_array_length(memory_withheld) AS kept
        FROM training_run WHERE lane = 'training' AND status IN ('succeeded', 'failed')
        ORDER BY id DESC LIMIT {LOOKED_AT}
    )
    SELECT
        (SELECT json_object_agg(name, amount) FROM (
            SELECT name, sum(count)::bigint AS amount FROM memory_counts GROUP BY name HAVING sum(count) <> 0
        ) AS counted),
        coalesce(sum(given), 0), coalesce(sum(given * success), 0), coalesce(sum(kept), 0),
        coalesce(sum(kept * success), 0), count(*) FILTER (WHERE given > 0), count(*) FILTER (WHERE kept > 0)
    FROM newest
"""  # noqa: S608  a constant of our own


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
        """The estimate in words."""
        if self.points is None or self.half_width is None:
            return f"Unknown yet: {self.runs_withheld} of {LEAST_RUNS} runs had an item withheld by chance."
        found = f"{self.points:+.1f} percentage points, ± {self.half_width:.1f}"
        helps = self.points - self.half_width > 0
        return f"{found}: a recalled item {'helps' if helps else 'is not shown to help'}."


@dataclass(frozen=True, slots=True)
class Standing:
    """How memory stands: items by `kind/status`, and the measured uplift."""

    counts: dict[str, int]
    uplift: Uplift


def read_standing() -> Standing:
    """The counts, and the estimate over the newest training outcomes. One query."""
    [(counts, *sums)] = run_statement(_READ)
    return Standing(counts or {}, estimate_uplift(*(int(value) for value in sums)))


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
