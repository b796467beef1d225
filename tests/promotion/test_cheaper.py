"""The second hypothesis, not worse and cheaper, and when either is given up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import betabinom

from promotion.gate.cheaper import (
    BET,
    ON_LOSS,
    ON_TIE,
    ON_WIN,
    PARTS,
    TOLERANCE,
    e_not_worse,
    ties_needed,
)
from promotion.gate.e_values import e_value
from promotion.gate.error_budget import alpha_for, split_alpha
from promotion.gate.pairs import ArmErrors, Evidence, compare_calls
from promotion.gate.reach import LEAST_PAIRS, find_most, find_room
from promotion.gate.rule import Decision, Hypothesis, Verdict, decide

BUDGET = 300
FIRST = alpha_for(k=1)
counts = st.integers(0, 200)


@dataclass(frozen=True)
class Arm:
    """One arm's result."""

    success: bool
    controller_calls: int = 0
    invalid: bool = False


def judge(*counted: int, **changes) -> Decision:
    evidence = Evidence(*counted)
    given_values = {"pair_budget": BUDGET, "pairs_done": evidence.pairs, "alpha": FIRST} | changes
    return decide(evidence=evidence, **given_values)


# The e-values.


def test_the_factors_are_the_bet_on_each_difference():
    for factor, difference in ((ON_WIN, 1), (ON_LOSS, -1), (ON_TIE, 0)):
        assert factor / PARTS == pytest.approx(1 + BET * (difference + TOLERANCE))


@given(wins=counts, losses=counts, ties=counts)
def test_not_worse_is_the_product_over_the_pairs_in_any_order(wins, losses, ties):
    logarithm = wins * math.log(1.84) + losses * math.log(0.24) + ties * math.log(1.04)
    assert e_not_worse(wins, losses, ties) == pytest.approx(math.exp(logarithm), rel=1e-9)


@given(wins=counts, losses=counts, ties=counts, win=st.floats(0, 0.95))
def test_not_worse_gains_nothing_on_average_for_a_candidate_worse_by_the_tolerance(wins, losses, ties, win):
    loss = min(win + TOLERANCE, 1 - win)
    after = (
        win * e_not_worse(wins + 1, losses, ties)
        + loss * e_not_worse(wins, losses + 1, ties)
        + (1 - win - loss) * e_not_worse(wins, losses, ties + 1)
    )
    assert after == pytest.approx(e_not_worse(wins, losses, ties), rel=1e-9) or win + TOLERANCE > 1 - win


def test_ties_alone_show_that_the_first_candidate_is_not_worse_after_155_pairs():
    level = split_alpha(FIRST).cheaper
    assert 1 / level == pytest.approx(432, abs=0.1)
    assert ties_needed(0, 0, 0, level) == 155
    assert e_not_worse(0, 0, 155) >= 1 / level > e_not_worse(0, 0, 154)


@given(wins=st.integers(0, 30), losses=st.integers(0, 30), ties=st.integers(0, 100), alpha=st.floats(1e-6, 0.5))
def test_ties_needed_is_the_smallest_number_that_crosses(wins, losses, ties, alpha):
    more = ties_needed(wins, losses, ties, alpha)
    assert e_not_worse(wins, losses, ties + more) >= 1 / alpha
    assert more == 0 or e_not_worse(wins, losses, ties + more - 1) < 1 / alpha


def test_the_smaller_of_both_e_values_decides():
    assert judge(2, 1, 100, 9, 1).e_fewer_calls == e_value(9, 1)
    assert judge(2, 1, 100, 9, 1).e_cheaper == min(e_not_worse(2, 1, 100), e_value(9, 1))


@pytest.mark.parametrize(
    ("candidate", "baseline", "expected"),
    [
        (Arm(True, 1), Arm(True, 3), 1),
        (Arm(True, 3), Arm(True, 1), -1),
        (Arm(True, 2), Arm(True, 2), 0),
        (Arm(False, 1), Arm(True, 3), 0),
        (Arm(True, 1), Arm(False, 3), 0),
        (Arm(False, 1), Arm(False, 3), 0),
        (Arm(True, 1, invalid=True), Arm(True, 3), 0),
    ],
)
def test_calls_are_compared_only_where_both_arms_succeeded(candidate, baseline, expected):
    assert compare_calls(candidate=candidate, baseline=baseline) == expected


def test_only_ties_can_differ_in_calls():
    with pytest.raises(ValueError, match="Only ties"):
        Evidence(5, 0, 3, 3, 1)


# The verdicts.


def test_a_candidate_as_good_with_fewer_calls_is_promoted_as_cheaper_with_the_numbers():
    decision = judge(1, 0, 160, 60, 10)
    assert (decision.verdict, decision.hypothesis) == (Verdict.PROMOTE, Hypothesis.CHEAPER)
    assert decision.reason == (
        "Not worse and cheaper: 1 win, 0 losses, 160 ties; fewer calls in 60 pairs, more in 10, "
        "e-values 977.6 for not worse and 8.4e+07 for cheaper, both of 432.0 needed."
    )


def test_a_better_candidate_is_promoted_as_better_even_when_it_is_cheaper_too():
    decision = judge(11, 0, 160, 60, 10)
    assert (decision.hypothesis, decision.e_cheaper > decision.threshold_cheaper) == (Hypothesis.BETTER, True)


@pytest.mark.parametrize("counted", [(0, 0, 160, 8, 3), (0, 4, 160, 60, 10)])
def test_one_of_its_two_e_values_alone_promotes_nothing(counted):
    assert judge(*counted).verdict is Verdict.PENDING


def test_a_candidate_proven_worse_is_rejected_however_cheap_it_is():
    decision = judge(0, 7, 3_000, 2_000, 0, pair_budget=5_000)
    assert decision.e_cheaper >= decision.threshold_cheaper
    assert (decision.verdict, decision.hypothesis) == (Verdict.REJECT, Hypothesis.NONE)


def test_alpha_is_split_in_advance_two_thirds_and_one_third():
    levels = split_alpha(0.03)
    assert (levels.better, levels.cheaper) == (pytest.approx(0.02), pytest.approx(0.01))
    assert levels.better + levels.cheaper == pytest.approx(0.03)


# What can still be reached.


@settings(max_examples=40)
@given(
    wins=st.integers(0, 4),
    losses=st.integers(0, 4),
    ties=st.integers(0, 8),
    fewer=st.integers(0, 4),
    more=st.integers(0, 4),
    left=st.integers(0, 9),
)
def test_the_reckoning_of_what_can_be_reached_agrees_with_every_way_the_rest_can_go(
    wins, losses, ties, fewer, more, left
):
    evidence, levels = Evidence(wins, losses, ties + fewer + more, fewer, more), split_alpha(0.5)
    promotes = any(
        e_value(wins + won, losses + lost) >= 1 / levels.better
        or min(
            e_not_worse(wins + won, losses + lost, evidence.ties + tied + less + costlier),
            e_value(fewer + less, more + costlier),
        )
        >= 1 / levels.cheaper
        for won, lost, tied, less, costlier in product(range(left + 1), repeat=5)
        if won + lost + tied + less + costlier <= left
    )
    assert find_room(left).holds(evidence, levels=levels) == promotes


def test_a_candidate_that_cannot_be_better_any_more_may_still_be_cheaper():
    decision = judge(0, 0, 292, 11, 0)
    assert (decision.verdict, decision.wins_needed, decision.pairs_left) == (Verdict.PENDING, 11, 8)
    assert judge(0, 0, 299, 10, 0).verdict is Verdict.REJECT


def test_a_candidate_that_cannot_be_cheaper_any_more_may_still_be_better():
    decision = judge(10, 3, 100, 0, 40)
    assert (decision.verdict, decision.calls_needed > decision.pairs_left / 4) == (Verdict.PENDING, True)


def test_pairs_lost_to_errors_that_could_have_shown_it_cheaper_make_it_invalid():
    counted = (0, 0, 280, 10, 0)
    assert judge(*counted, pairs_done=299, errors=ArmErrors(baseline=19)).verdict is Verdict.INVALID
    assert judge(0, 0, 299, 10, 0).verdict is Verdict.REJECT


# What is still likely.


@given(seen=st.integers(0, 150), more=st.integers(0, 150), data=st.data())
def test_the_likely_most_is_the_upper_end_of_the_beta_binomial_prediction(seen, more, data):
    hits = data.draw(st.integers(0, seen))
    predicted = betabinom(more, hits + 1, seen - hits + 1)
    most = find_most(hits, seen=seen, more=more)
    assert most == 0 or predicted.sf(most - 1) >= 0.025 - 1e-9
    assert most == more or predicted.sf(most) < 0.025 + 1e-9


def test_an_equal_candidate_is_given_up_before_its_pairs_are_spent():
    given_up = next(ties for ties in range(BUDGET) if judge(0, 0, ties).verdict is not Verdict.PENDING)
    decision = judge(0, 0, given_up)
    assert LEAST_PAIRS < given_up < BUDGET / 3
    assert decision.verdict is Verdict.REJECT
    assert decision.reason == (
        "Unlikely to be promoted: 0 wins, 0 losses, 84 ties; calls never differed; at most 10 more wins and 10 more "
        "with fewer calls are likely; 11 more wins, or 71 more pairs without a loss, 12 of them with fewer "
        "calls, would decide; 216 pairs of 300 left."
    )


def test_none_is_given_up_as_unlikely_in_the_first_thirty_pairs():
    assert judge(0, 2, 27, pair_budget=60).verdict is Verdict.PENDING
    assert judge(0, 2, 28, pair_budget=60).verdict is Verdict.REJECT


def test_what_is_unlikely_only_ends_early_and_never_promotes():
    for counted in product((0, 3, 8), (0, 2), (40, 120), (0, 20), (0, 5)):
        decision = judge(*counted)
        if decision.verdict is Verdict.PROMOTE:
            assert decision.e_value >= decision.threshold or decision.e_cheaper >= decision.threshold_cheaper
