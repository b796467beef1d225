"""The gain of a live apply: intervals that hold, and the sentence about them."""

from __future__ import annotations

import math
import random
from dataclasses import asdict

import pytest
from scipy.stats import multinomial

from promotion.evaluation.gain import compare_calls, compare_success, measure_error, read_gain
from promotion.models import LiveApply, ReserveMeasurement


@pytest.mark.parametrize("pairs", [30, 120])
@pytest.mark.parametrize(("win", "loss"), [(0.02, 0.02), (0.15, 0.05), (0.05, 0.25), (0.4, 0.1)])
def test_the_interval_of_success_holds_in_about_95_of_100(pairs, win, loss):
    """Exact: over all numbers of wins and losses, by their probability."""
    held = sum(
        multinomial.pmf((wins, losses, pairs - wins - losses), n=pairs, p=(win, loss, 1 - win - loss))
        for wins in range(pairs + 1)
        for losses in range(pairs + 1 - wins)
        if (found := compare_success(wins=wins, losses=losses, pairs=pairs, error=0)).low <= win - loss <= found.high
    )
    assert 0.94 <= held <= 1


def test_the_interval_of_success_is_that_of_agresti_and_min():
    # Half a pair in each of the four cells, then Wald's.
    wins, losses, pairs = 40, 20, 160
    p, q, n = (wins + 0.5) / (pairs + 2), (losses + 0.5) / (pairs + 2), pairs + 2
    reach = 1.959964 * math.sqrt((p + q - (p - q) ** 2) / n)
    found = compare_success(wins=wins, losses=losses, pairs=pairs, error=0)
    assert asdict(found) == pytest.approx({"mean": 0.125, "low": p - q - reach, "high": p - q + reach})


def test_an_interval_never_passes_all_or_nothing():
    assert compare_success(wins=3, losses=0, pairs=3, error=0).high == 1
    assert compare_success(wins=0, losses=3, pairs=3, error=0).low == -1


def test_the_interval_of_calls_is_that_of_a_paired_mean():
    differences = [-2, -1, -1, 0, -3, 1, -2, -1, 0, -1]
    error = measure_error({str(place): [each] for place, each in enumerate(differences)})
    # Student's 97.5 % quantile for 9 degrees of freedom is 2.262.
    spread = math.sqrt(sum((d + 1) ** 2 for d in differences) / 9 / 10)
    assert 1.959964 * error == pytest.approx(2.262 * spread, rel=0.02)
    found = compare_calls(total=sum(differences), error=error, pairs=len(differences))
    assert asdict(found) == pytest.approx({"mean": -1, "low": -1 - 1.959964 * error, "high": -1 + 1.959964 * error})
    assert compare_calls(total=-9, error=None, pairs=9) is None


def test_tasks_of_one_page_that_go_together_count_as_one():
    pages = [-2, -1, 0, -3, 1, -2]
    alone = measure_error({str(place): [each] for place, each in enumerate(pages)})
    together = measure_error({str(place): [each] * 5 for place, each in enumerate(pages)})
    assert together == pytest.approx(alone)
    found = compare_success(wins=25, losses=0, pairs=30, error=0.2)
    assert found.high - found.low == pytest.approx(2 * 1.959964 * 0.2, abs=0.2)
    assert measure_error({"one": [1, 1, 0]}) is None


def test_the_clustered_interval_holds_where_pages_decide():
    """Six tasks a page, all solved or none: an interval of single tasks would hold far less often."""
    draw = random.Random(5)
    held = naive = 0
    for _ in range(400):
        pages = {str(page): [draw.choice((-1, 0, 0, 1))] * 6 for page in range(30)}
        flat = [each for page in pages.values() for each in page]
        wins, losses = flat.count(1), flat.count(-1)
        for error in (measure_error(pages) or 0.0, 0.0):
            found = compare_success(wins=wins, losses=losses, pairs=len(flat), error=error)
            held += error > 0 and found.low <= 0 <= found.high
            naive += error == 0 and found.low <= 0 <= found.high
    assert held / 400 >= 0.92
    assert naive / 400 <= 0.75


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
            {"wins": 16, "losses": 5, "before_calls": 480, "after_calls": 312, "calls_error": 0.107},
            "+9 pp on 120 unseen tasks, 95 % interval 2 to 16; 1.4 fewer calls a task, 95 % interval 1.2 to 1.6.",
        ),
        (
            {"wins": 5, "losses": 25, "before_calls": 120, "after_calls": 240, "calls_error": 0.026},
            "Worse than before: −17 pp on 120 unseen tasks, 95 % interval −25 to −8; 1.0 more calls a "
            "task, 95 % interval 0.9 to 1.1.",
        ),
        (
            {"calls_error": 0.053},
            "0 pp on 120 unseen tasks, 95 % interval −2 to 2; no clear difference in calls.",
        ),
        (
            {"wins": 10, "losses": 2},
            "+7 pp on 120 unseen tasks, 95 % interval 0.9 to 12.",
        ),
    ],
)
def test_the_gain_is_one_sentence(counts, sentence):
    assert say(**counts) == sentence
