"""Success and controller calls per run over time, as moving averages, with the live applies marked."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime

from promotion.models import LiveApply
from training.models import TrainingOutcome

# A point averages this many outcomes, fewer while the history is younger than that, but never less than five:
# one outcome alone is 0 % or 100 %.
AVERAGED = 20
AVERAGED_LEAST = 5
OUTCOMES_MAX = 600
POINTS_MAX = 60
MARKS_MAX = 20
# The drawing's own units; the page scales it.
WIDTH, HEIGHT = 600.0, 140.0

Row = tuple[int, bool, int, datetime]  # outcome id, success, controller calls, when


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """The `runs` outcomes up to `outcome`: share of successes in [0, 1], mean controller calls per run.

    `position` is 0 at the oldest outcome shown and 1 at the newest.
    """

    outcome: int
    runs: int
    success_rate: float
    calls: float
    position: float
    at: datetime


@dataclass(frozen=True, slots=True)
class TrendMark:
    """A live apply among the outcomes; `position` as a point's."""

    to_tag: str
    position: float
    at: datetime

    @property
    def x(self) -> float:
        """Where to draw it."""
        return round(self.position * WIDTH, 1)


@dataclass(frozen=True, slots=True)
class TrendPanel:
    """The newest 600 outcomes at most, oldest first, in up to 60 points; marks newest first."""

    points: tuple[TrendPoint, ...]
    marks: tuple[TrendMark, ...]
    outcomes: int
    averaged: int = AVERAGED

    @property
    def calls_top(self) -> int:
        """Upper end of the calls axis: even, so that its middle is a whole number too."""
        most = max((point.calls for point in self.points), default=0.0)
        return 2 * (int(most / 2) + 1)

    @property
    def calls_middle(self) -> int:
        """Middle of the calls axis."""
        return self.calls_top // 2

    @property
    def success_line(self) -> str:
        """SVG points of the success rate."""
        return self._draw_line([point.success_rate for point in self.points])

    @property
    def success_area(self) -> str:
        """SVG points of the area below the success rate."""
        if not self.points:
            return ""
        left, right = (point.position * WIDTH for point in (self.points[0], self.points[-1]))
        return f"{left:.1f},{HEIGHT:g} {self.success_line} {right:.1f},{HEIGHT:g}"

    @property
    def calls_line(self) -> str:
        """SVG points of the calls per run."""
        return self._draw_line([point.calls / self.calls_top for point in self.points])

    def _draw_line(self, values: list[float]) -> str:
        """Points from left to right; `values` in [0, 1], one a point."""
        return " ".join(
            f"{point.position * WIDTH:.1f},{HEIGHT * (1 - value):.1f}"
            for point, value in zip(self.points, values, strict=True)
        )


def build_trend_panel() -> TrendPanel:
    """Reads the newest outcomes and the applies among them. Two queries, one without outcomes."""
    outcomes = TrainingOutcome.objects.order_by("-id")
    # The oldest point shown averages over outcomes that are not shown themselves.
    newest = outcomes.values_list("id", "success", "controller_calls", "created_at")[: OUTCOMES_MAX + AVERAGED - 1]
    rows = list(newest)[::-1]
    if not rows:
        return TrendPanel(points=(), marks=(), outcomes=0)
    shown = [row[0] for row in rows[-OUTCOMES_MAX:]]
    return TrendPanel(points=average_outcomes(rows), marks=_read_marks(shown), outcomes=len(shown))


def average_outcomes(rows: list[Row]) -> tuple[TrendPoint, ...]:
    """Moving averages over `rows`, oldest first; pure. The newest outcome always ends the last point."""
    hidden = max(0, len(rows) - OUTCOMES_MAX)
    span = len(rows) - hidden
    step = -(-span // POINTS_MAX)
    first = min(max(hidden, AVERAGED_LEAST - 1), len(rows) - 1)
    return tuple(
        _average(rows[max(0, end + 1 - AVERAGED) : end + 1], position=(end - hidden) / max(1, span - 1))
        for end in range(len(rows) - 1, first - 1, -step)
    )[::-1]


def _average(rows: list[Row], *, position: float) -> TrendPoint:
    outcomes, successes, calls, times = zip(*rows, strict=True)
    return TrendPoint(
        outcome=outcomes[-1],
        runs=len(rows),
        success_rate=sum(successes) / len(rows),
        calls=sum(calls) / len(rows),
        position=position,
        at=times[-1],
    )


def _read_marks(ids: list[int]) -> tuple[TrendMark, ...]:
    switches = LiveApply.objects.filter(from_tag__isnull=False, after_outcome_id__gte=ids[0])
    return tuple(
        TrendMark(
            to_tag=apply.to_tag.name,
            position=bisect_right(ids, apply.after_outcome_id) / len(ids),
            at=apply.applied_at,
        )
        for apply in switches.select_related("to_tag").order_by("-id")[:MARKS_MAX]
    )
