"""The gain: what a live apply was worth, in figures with their intervals and in one sentence. It decides nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from promotion.models import LiveApply, ReserveMeasurement

# The normal distribution's 97.5 % quantile: an interval of both sides at 95 %.
Z = 1.959964
# The interval of calls holds only with so many pages.
LEAST_FOR_CALLS = 10
NOT_CLEAR = "no clear difference"
State = ReserveMeasurement.State


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference, after minus before, and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Gain:
    """What a live apply was worth. `pairs` of the `tasks` chosen counted: in each both tags gave evidence.

    `success`: share of tasks solved, in [-1, 1]; `calls`: controller calls a task. Both are None before the end of the
    measurement, because an interval that is looked at again and again does not hold; and without enough pairs.
    `is_loss`: the whole interval of success lies below zero.
    """

    state: str
    tasks: int
    done: int
    pairs: int
    wins: int
    losses: int
    ties: int
    success_before: float | None
    success_after: float | None
    success: Difference | None
    calls_before: float | None
    calls_after: float | None
    calls: Difference | None
    is_loss: bool
    sentence: str

    @property
    def status(self) -> str:
        """How it stands, as a state that pages colour: `green`, `amber`, `red` or `unknown`."""
        return {"worse": "red", "better": "green", "fewer calls": "green", NOT_CLEAR: "amber"}.get(self.word, "unknown")

    @property
    def word(self) -> str:
        """The same in words. Better, worse and fewer only where the whole interval says so."""
        if self.success is None:
            return "being measured" if self.state == State.OPEN and self.tasks else "not measured"
        if self.is_loss:
            return "worse"
        if self.success.low > 0:
            return "better"
        return "fewer calls" if self.calls is not None and self.calls.high < 0 else NOT_CLEAR


def measure_error(differences: Mapping[Any, Sequence[float]]) -> float | None:
    """The standard error of the mean of all differences, which are given by page: those of one page go together.

    The cluster-robust one (Liang and Zeger, “Longitudinal data analysis using generalized linear models”, Biometrika 73
    (1986), 13–22), with c / (c - 1) for c pages, and so much larger that ± z errors are Student's interval with c - 1
    degrees of freedom (Abramowitz and Stegun 26.7.5, first term). None for fewer than two pages, which say nothing of
    others.
    """
    pages, pairs = len(differences), sum(map(len, differences.values()))
    if pages < 2:
        return None
    mean = sum(map(sum, differences.values())) / pairs
    squares = sum((sum(page) - len(page) * mean) ** 2 for page in differences.values())
    student = 1 + (Z**2 + 1) / (4 * (pages - 1))
    return student * math.sqrt(squares * pages / (pages - 1)) / pairs


def compare_success(*, wins: int, losses: int, pairs: int, error: float) -> Difference:
    """The difference of success over `pairs` tasks, of which `wins` only the tag after, `losses` only the one before
    solved. `error` is its standard error by page: where tasks of one page go together the interval is wider.

    The interval is Wald's with half a pair added to each of the four cells, cut off at -1 and 1: Agresti and Min,
    “Simple improved confidence intervals for comparing matched proportions”, Statistics in Medicine 24 (2005), 729–740.
    """
    middle = (wins - losses) / (pairs + 2)
    alone = math.sqrt((wins + losses + 1) - (wins - losses) ** 2 / (pairs + 2)) / (pairs + 2)
    reach = Z * max(alone, error)
    return Difference((wins - losses) / pairs, max(-1.0, middle - reach), min(1.0, middle + reach))


def compare_calls(*, total: int, error: float | None, pairs: int) -> Difference | None:
    """The mean difference of calls over `pairs` tasks, from its sum and its standard error; None without an error.

    The interval is the normal one: mean ± z times the error.
    """
    if error is None:
        return None
    mean = total / pairs
    return Difference(mean, mean - Z * error, mean + Z * error)


def read_gain(apply: LiveApply | None) -> Gain | None:
    """What the apply was worth; None of one that is not measured. No query when its `measurement` was selected too."""
    row = getattr(apply, "measurement", None)
    if row is None:
        return None
    pairs, tasks = row.wins + row.losses + row.ties, len(row.task_ids)
    shown = pairs if row.state != State.OPEN else 0
    success = None
    if shown:
        success = compare_success(wins=row.wins, losses=row.losses, pairs=pairs, error=row.success_error)
    difference = row.after_calls - row.before_calls
    calls = compare_calls(total=difference, error=row.calls_error, pairs=pairs) if shown else None
    is_loss = success is not None and success.high < 0
    return Gain(
        state=row.state,
        tasks=tasks,
        done=row.done,
        pairs=pairs,
        wins=row.wins,
        losses=row.losses,
        ties=row.ties,
        success_before=row.before_successes / pairs if shown else None,
        success_after=(row.before_successes + row.wins - row.losses) / pairs if shown else None,
        success=success,
        calls_before=row.before_calls / pairs if shown else None,
        calls_after=row.after_calls / pairs if shown else None,
        calls=calls,
        is_loss=is_loss,
        sentence=_describe(row, pairs=pairs, success=success, calls=calls),
    )


def read_gains() -> QuerySet[LiveApply]:
    """Live applies that were measured or are to be, oldest first, as `read_gain` takes them."""
    measured = LiveApply.objects.filter(measurement__isnull=False)
    return measured.select_related("from_tag", "to_tag", "measurement").order_by("pk")


def _describe(row: ReserveMeasurement, *, pairs: int, success: Difference | None, calls: Difference | None) -> str:
    tasks = len(row.task_ids)
    if row.state == State.OPEN and tasks:
        return f"What it was worth is being measured: {row.done} of {tasks} unseen tasks are done."
    if success is None:
        none = "no unseen task gave evidence" if tasks else "there were no unseen tasks"
        return f"Not measured: {row.reason or none}."
    cut = f" Cut short: {row.reason}." if row.reason else ""
    chosen = f" of {tasks} chosen" if pairs != tasks else ""
    words = "Worse than before: " if success.high < 0 else ""
    return (
        f"{words}{_sign(success.mean)} pp on {pairs}{chosen} unseen tasks, 95 % interval {_number(success.low)} to "
        f"{_number(success.high)}{_describe_calls(calls)}.{cut}"
    )


def _describe_calls(calls: Difference | None) -> str:
    if calls is None:
        return ""
    if calls.low <= 0 <= calls.high:
        return "; no clear difference in calls"
    low, high = sorted((abs(calls.low), abs(calls.high)))
    fewer = "fewer" if calls.mean < 0 else "more"
    return f"; {abs(calls.mean):.1f} {fewer} calls a task, 95 % interval {low:.1f} to {high:.1f}"


def _sign(share: float) -> str:
    return f"+{_number(share)}" if share > 0 else _number(share)


def _number(share: float) -> str:
    """A share of 1 in percentage points: whole ones, but tenths below one, so that a small one does not look like 0."""
    # Adding zero takes the sign from a zero.
    points = round(100 * share, 1) + 0.0
    text = f"{points:.0f}" if abs(points) >= 1 or not points else f"{points:.1f}"
    return text.replace("-", "−")
