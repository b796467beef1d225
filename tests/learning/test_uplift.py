"""Uplift: what items withheld by chance say of those that were given."""

from __future__ import annotations

import pytest

from learning.uplift import LEAST_RUNS, estimate_uplift, read_standing
from tests.factories import make_outcome
from tests.guards import behind_guards
from training.models import Run


def test_too_few_runs_say_nothing():
    uplift = estimate_uplift(100, 80, LEAST_RUNS - 1, 3, 50, LEAST_RUNS - 1)
    assert (uplift.points, uplift.half_width) == (None, None)
    assert uplift.sentence == "Unknown yet: 19 of 20 runs needed had an item withheld at random."


def test_the_estimate_is_the_difference_of_shares_with_its_interval():
    uplift = estimate_uplift(1000, 700, 100, 50, 400, 100)
    assert uplift.points == pytest.approx(20.0)
    # 1.96 * sqrt(0.7 * 0.3 / 400 + 0.5 * 0.5 / 100)
    assert uplift.half_width == pytest.approx(10.78, abs=0.01)
    assert uplift.sentence == "+20.0 percentage points, ± 10.8: a recalled item helps."


def test_a_difference_within_its_interval_is_not_shown_to_help():
    assert estimate_uplift(100, 52, 100, 50, 100, 100).sentence.endswith("is not shown to help.")


def test_runs_of_nothing_are_unknown(db):
    assert read_standing().uplift.points is None


def test_pairs_of_runs_and_items_are_counted(host):
    for number in range(2 * LEAST_RUNS):
        withholds = number % 2
        outcome = make_outcome(host, success=not withholds)
        with behind_guards():
            Run.objects.filter(pk=outcome.run_id).update(
                memories=[_give(1), _give(2)] if not withholds else [], memory_withheld=[3] if withholds else []
            )
    uplift = read_standing().uplift
    assert (uplift.points, uplift.runs_given, uplift.runs_withheld) == (100.0, LEAST_RUNS, LEAST_RUNS)


def test_what_is_never_withheld_is_not_compared(host):
    for number in range(2 * LEAST_RUNS):
        withholds = number % 2
        outcome = make_outcome(host, success=True)
        # Every run was given a passage that is no memory item, and a page to visit last.
        others = [_give(0, kind="passage"), _give(4, kind="ruled_out")]
        with behind_guards():
            Run.objects.filter(pk=outcome.run_id).update(
                memories=others if withholds else [*others, _give(1)], memory_withheld=[3] if withholds else []
            )
    uplift = read_standing().uplift
    assert (uplift.runs_given, uplift.runs_withheld) == (LEAST_RUNS, LEAST_RUNS)


def _give(number: int, *, kind: str = "page") -> dict[str, object]:
    return {"id": number, "kind": kind}
