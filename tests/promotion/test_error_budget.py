import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import zeta

from promotion.gate.error_budget import (
    ALPHA_LIFE,
    EXPONENT,
    OFFSET,
    ZETA,
    Rule,
    alpha_for,
    gamma_for,
    next_alpha,
    spent,
)


def test_the_shares_of_all_candidates_that_can_ever_come_add_up_to_no_more_than_one():
    assert zeta(EXPONENT, 1 + OFFSET) <= ZETA < zeta(EXPONENT, 1 + OFFSET) + 1e-9
    first = 100_000
    rest = zeta(EXPONENT, first + 1 + OFFSET) / ZETA
    assert sum(gamma_for(k) for k in range(1, first + 1)) + rest == pytest.approx(1, abs=1e-9)


@given(k=st.integers(1, 10_000))
def test_every_later_candidate_gets_less_and_never_nothing(k):
    assert alpha_for(k=k) > alpha_for(k=k + 1) > 0


def test_the_first_and_the_twentieth_candidate_get_their_documented_levels():
    assert alpha_for(k=1) == pytest.approx(0.006945, rel=1e-3)
    assert alpha_for(k=20) == pytest.approx(0.0004229, rel=1e-3)


def test_spending_ignores_promotions_and_e_lond_grows_with_them():
    assert alpha_for(k=9, promotions=4) == alpha_for(k=9)
    assert alpha_for(k=9, promotions=4, rule=Rule.E_LOND) == pytest.approx(5 * alpha_for(k=9))
    assert alpha_for(k=9, rule=Rule.E_LOND) == alpha_for(k=9)


@pytest.mark.parametrize(
    "arguments",
    [{"k": 0}, {"k": 2, "promotions": 2}, {"k": 2, "promotions": -1}, {"k": 1, "alpha_life": 0}],
)
def test_impossible_histories_and_levels_are_refused(arguments):
    with pytest.raises(ValueError, match=r".+"):
        alpha_for(**arguments)


def test_the_summary_adds_up_what_was_really_given():
    summary = spent(alphas=[0.02, 0.01], promotions=1)
    assert summary.candidates == 2
    assert summary.spent == summary.expected_false_promotions == pytest.approx(0.03)
    assert summary.left == pytest.approx(ALPHA_LIFE - 0.03)
    assert summary.next_alpha == alpha_for(k=3)
    assert summary.reason.startswith("2 candidates spent 0.0300 of 0.05; at most 0.0300 false promotions")


def test_nothing_is_spent_before_the_first_candidate():
    summary = spent(alphas=[])
    assert (summary.candidates, summary.spent, summary.left) == (0, 0, ALPHA_LIFE)


def test_a_thousand_candidates_never_overspend_the_life():
    summary = spent(alphas=[alpha_for(k=k) for k in range(1, 1_001)])
    assert summary.spent < ALPHA_LIFE
    assert summary.left > 0


def test_e_lond_may_spend_more_than_a_life_and_then_shows_nothing_left():
    alphas = [alpha_for(k=k, promotions=k - 1, rule=Rule.E_LOND) for k in range(1, 21)]
    summary = spent(alphas=alphas, promotions=20, rule=Rule.E_LOND)
    assert summary.spent > ALPHA_LIFE
    assert summary.left == 0


def test_a_lowered_lifetime_alpha_leaves_no_more_than_the_rest_of_it():
    spent_before = [alpha_for(k=k) for k in range(1, 4)]
    rest = 0.02 - sum(spent_before)
    assert next_alpha(alphas=spent_before, alpha_life=0.02) == min(rest, alpha_for(k=4, alpha_life=0.02))
    assert next_alpha(alphas=spent_before, alpha_life=0.01) == 0
    assert "nothing is left for another" in spent(alphas=spent_before, alpha_life=0.01).reason
