"""The evidence curve: e-values by pair on a logarithmic axis, with their thresholds; drawn on the server."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# The drawing's own units; the page scales it.
WIDTH, HEIGHT = 600.0, 220.0
# Decades shown at least, below and above 1.
LEAST_DECADES = (1, 2)


@dataclass(frozen=True, slots=True)
class Gridline:
    """A power of ten and its position."""

    label: str
    y: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Polylines for "better", "worse" and "not worse and cheaper" in drawing units, the gridlines, and where their
    thresholds lie.

    `points` are those of "better" after each pair: percent across, and down in drawing units.
    """

    better: str
    worse: str
    cheaper: str
    points: tuple[tuple[float, float], ...]
    grid: tuple[Gridline, ...]
    promote_y: float
    reject_y: float
    cheaper_y: float
    pairs: int


def draw_curve(
    *,
    better: Sequence[float],
    worse: Sequence[float],
    cheaper: Sequence[float],
    promote: float,
    reject: float,
    promote_cheaper: float,
) -> Curve:
    """Draws the e-values after each pair, beginning at 1 before the first; pure.

    `promote`, `reject` and `promote_cheaper` are their thresholds, all above 1.
    """
    drawn = (*better, *worse, *cheaper, promote, reject, promote_cheaper)
    exponents = [math.log10(value) for value in drawn if 0 < value < math.inf]
    bottom = min(-LEAST_DECADES[0], math.floor(min(exponents)))
    top = max(LEAST_DECADES[1], math.ceil(max(exponents)))

    def place(value: float) -> float:
        exponent = top if value == math.inf else math.log10(value) if value > 0 else bottom
        return round(HEIGHT * (top - exponent) / (top - bottom), 1)

    def trace(values: Sequence[float]) -> str:
        across = WIDTH / max(1, len(values))
        points = [f"{round(number * across, 1)},{place(value)}" for number, value in enumerate((1.0, *values))]
        return " ".join(points)

    step = max(1, (top - bottom) // 6)
    return Curve(
        better=trace(better),
        worse=trace(worse),
        cheaper=trace(cheaper),
        points=tuple((round(100 * number / len(better), 2), place(value)) for number, value in enumerate(better, 1)),
        grid=tuple(Gridline(_say_power(power), place(10.0**power)) for power in range(bottom, top + 1, step)),
        promote_y=place(promote),
        reject_y=place(reject),
        cheaper_y=place(promote_cheaper),
        pairs=len(better),
    )


def _say_power(power: int) -> str:
    return f"{10**power:,}" if power >= 0 else f"1/{10**-power:,}"
