"""Success and controller calls per run over time, with the live applies marked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from promotion.models import LiveApply
from training.models import TrainingOutcome

BUCKETS = 30
READ_MAX = 900
# The drawing's own units; the page scales it.
WIDTH, HEIGHT = 600.0, 140.0


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """A bucket of consecutive outcomes: share of successes in [0, 1], mean controller calls per run."""

    first_outcome: int
    last_outcome: int
    runs: int
    success_rate: float
    calls: float
    until: datetime


@dataclass(frozen=True, slots=True)
class TrendMark:
    """A live apply among the outcomes; `position` is 0 at the oldest outcome shown and 1 at the newest."""

    apply_id: int
    to_tag: str
    position: float
    at: datetime

    @property
    def x(self) -> float:
        """Where to draw it."""
        return round(self.position * WIDTH, 1)


@dataclass(frozen=True, slots=True)
class TrendPanel:
    """The newest 900 outcomes at most, oldest first, in up to 30 buckets."""

    points: tuple[TrendPoint, ...]
    marks: tuple[TrendMark, ...]
    outcomes: int

    @property
    def calls_top(self) -> int:
        """Upper end of the calls axis."""
        return max(1, *(int(point.calls) + 1 for point in self.points)) if self.points else 1

    @property
    def success_line(self) -> str:
        """SVG points of the success rate."""
        return _draw_line([point.success_rate for point in self.points])

    @property
    def success_area(self) -> str:
        """SVG points of the area below the success rate."""
        return f"0,{HEIGHT:g} {self.success_line} {WIDTH:g},{HEIGHT:g}" if self.points else ""

    @property
    def calls_line(self) -> str:
        """SVG points of the calls per run."""
        return _draw_line([point.calls / self.calls_top for point in self.points])

    @property
    def first(self) -> TrendPoint | None:
        """The oldest bucket."""
        return self.points[0] if self.points else None

    @property
    def last(self) -> TrendPoint | None:
        """The newest bucket."""
        return self.points[-1] if self.points else None


def build_trend_panel() -> TrendPanel:
    """Reads the newest outcomes and the applies among them. Two queries."""
    rows = list(
        TrainingOutcome.objects.order_by("-id").values_list("id", "success", "controller_calls", "created_at")[
            :READ_MAX
        ]
    )[::-1]
    if not rows:
        return TrendPanel(points=(), marks=(), outcomes=0)
    size = max(1, -(-len(rows) // BUCKETS))
    points = tuple(_fill_bucket(rows[start : start + size]) for start in range(0, len(rows), size))
    ids = [row[0] for row in rows]
    applies = LiveApply.objects.filter(from_tag__isnull=False, after_outcome_id__gte=ids[0]).select_related("to_tag")
    marks = tuple(
        TrendMark(
            apply_id=apply.pk,
            to_tag=apply.to_tag.name,
            position=sum(outcome_id <= apply.after_outcome_id for outcome_id in ids) / len(ids),
            at=apply.applied_at,
        )
        for apply in applies.order_by("-id")[:20]
    )
    return TrendPanel(points=points, marks=marks, outcomes=len(rows))


def _fill_bucket(rows: list[tuple[int, bool, int, datetime]]) -> TrendPoint:
    return TrendPoint(
        first_outcome=rows[0][0],
        last_outcome=rows[-1][0],
        runs=len(rows),
        success_rate=sum(success for _, success, _, _ in rows) / len(rows),
        calls=sum(calls for _, _, calls, _ in rows) / len(rows),
        until=rows[-1][3],
    )


def _draw_line(values: list[float]) -> str:
    """Points from left to right; `values` in [0, 1], a single one becomes a level line."""
    if len(values) == 1:
        values = values * 2
    step = WIDTH / max(1, len(values) - 1)
    return " ".join(f"{index * step:.1f},{HEIGHT * (1 - value):.1f}" for index, value in enumerate(values))
