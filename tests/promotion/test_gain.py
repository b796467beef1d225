"""The gain of a live apply: intervals that hold, and the sentence about them."""

from __future__ import annotations

import math
from dataclasses import asdict

import pytest
from scipy.stats import multinomial

from promotion.evaluation.gain import compare_calls, compare_success, read_gain
from promotion.models import LiveApply, ReserveMeasurement


@pytest.mark.parametrize("pairs", [30, 120])
@pytest.mark.parametrize(("win", "loss"), [(0.02, 0.02), (0.15, 0.05), (0.05, 0.25), (0.4, 0.1)])
def test_the_interval_of_success_holds_in_about_95_of_100(pairs, win, loss):
    """Exact: over all numbers of wins and losses, by their probability."""
    held = sum(
        multinomial.pmf((wins, losses, pairs - wins - losses), n=pairs, p=(win, loss, 1 - win - loss))
        for wins in range(pairs + 1)
        for losses in range(pairs + 1 - wins)
        if (found := compare_success(wins=wins, losses=losses, pairs=pairs)).low <= win - loss <= found.high
    )
    assert 0.94 <= held <= 1


def test_the_interval_of_success_is_that_of_agresti_and_min():
    # Half a pair in each of the four cells, then Wald's.
    wins, losses, pairs = 40, 20, 160
    p, q, n = (wins + 0.5) / (pairs + 2), (losses + 0.5) / (pairs + 2), pairs + 2
    reach = 1.959964 * math.sqrt((p + q - (p - q) ** 2) / n)
    found = compare_success(wins=wins, losses=losses, pairs=pairs)
    assert asdict(found) == pytest.approx({"mean": 0.125, "low": p - q - reach, "high": p - q + reach})


def test_an_interval_never_passes_all_or_nothing():
    assert compare_success(wins=3, losses=0, pairs=3).high == 1
    assert compare_success(wins=0, losses=3, pairs=3).low == -1


def test_the_interval_of_calls_is_that_of_a_paired_mean():
    differences = [-2, -1, -1, 0, -3, 1, -2, -1, 0, -1]
    found = compare_calls(total=sum(differences), squares=sum(d * d for d in differences), pairs=len(differences))
    spread = math.sqrt(sum((d + 1) ** 2 for d in differences) / 9 / 10)
    assert asdict(found) == pytest.approx({"mean": -1, "low": -1 - 1.959964 * spread, "high": -1 + 1.959964 * spread})
    assert compare_calls(total=-9, squares=9, pairs=9) is None


def say(*, pairs: int = 120, **counts: int) -> str:
    """The sentence about a measurement that has ended."""
    values = {"state": "measured", "wins": 0, "losses": 0, "task_ids": list(range(pairs)), **counts}
    values["ties"] = pairs - values["wins"] - values["losses"]
    apply = LiveApply()
    apply.measurement = ReserveMeasurement(**values)
    return read_gain(apply).sentence


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        (
            {"wins": 16, "losses": 5, "before_calls": 480, "after_calls": 312, "calls_squares": 400},
            "+9 pp on 120 unseen tasks, 95 % interval 2 to 16; 1.4 fewer calls a task, 95 % interval 1.2 to 1.6.",
        ),
        (
            {"wins": 5, "losses": 25, "before_calls": 120, "after_calls": 240, "calls_squares": 130},
            "Worse than before: −17 pp on 120 unseen tasks, 95 % interval −25 to −8; 1.0 more calls a "
            "task, 95 % interval 0.9 to 1.1.",
        ),
        (
            {"calls_squares": 40},
            "0 pp on 120 unseen tasks, 95 % interval −2 to 2; no clear difference in calls.",
        ),
        (
            {"wins": 10, "losses": 2},
            "+7 pp on 120 unseen tasks, 95 % interval 0.9 to 12; no clear difference in calls.",
        ),
    ],
)
def test_the_gain_is_one_sentence(counts, sentence):
    assert say(**counts) == sentence
