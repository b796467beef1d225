"""Measurements: what a benchmark found, and what was promised."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table


class DoesNotHold(Exception):
    """A benchmark missed a bound, or could not run; its text says which and why."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One claim about the product: the measured `figure` against its `bound`, both in `unit`.

    `holds` says whether the figure is on the right side of the bound; `setup` says what was measured.
    """

    claim: str
    figure: float
    bound: float
    unit: str
    holds: bool
    setup: str


def at_least(claim: str, figure: float, bound: float, unit: str, setup: str) -> Measurement:
    """A claim that holds when the figure is no smaller than its bound."""
    return Measurement(claim, _round(figure), bound, unit, figure >= bound, setup)


def at_most(claim: str, figure: float, bound: float, unit: str, setup: str) -> Measurement:
    """A claim that holds when the figure is no larger than its bound."""
    return Measurement(claim, _round(figure), bound, unit, figure <= bound, setup)


def _round(figure: float) -> float:
    """Four significant digits, as the table shows them."""
    return float(f"{figure:.4g}")


def find_p95(times: Sequence[float]) -> float:
    """The time that 95 of 100 do not exceed."""
    return sorted(times)[math.ceil(0.95 * len(times)) - 1]


def report(measurements: Sequence[Measurement], *, as_json: bool, note: str = "") -> None:
    """Prints a table, or one JSON object per line. Raises DoesNotHold when a bound is missed; `note` ends its text."""
    if as_json:
        for measurement in measurements:
            print(json.dumps(asdict(measurement), ensure_ascii=False))  # noqa: T201  the command's output
    else:
        Console().print(_make_table(measurements))
    failed = [measurement.claim for measurement in measurements if not measurement.holds]
    if failed:
        raise DoesNotHold(f"Does not hold: {'; '.join(failed)}.{note}")


def _make_table(measurements: Sequence[Measurement]) -> Table:
    table = Table("claim", "figure", "bound", "holds", "setup")
    for one in measurements:
        unit = f" {one.unit}" if one.unit else ""
        table.add_row(one.claim, f"{one.figure:.4g}{unit}", f"{one.bound:.4g}", "yes" if one.holds else "NO", one.setup)
    return table
