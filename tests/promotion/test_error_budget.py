import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import zeta

from promotion.gate.error_budget import (
    ALPHA_LIFE,
    EXPONENT,
    OFFSET,
    ZETA,
    alpha_for,
    gamma_for,
    next_alpha,
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


@pytest.mark.parametrize("arguments", [{"k": 0}, {"k": 1, "alpha_life": 0}])
def test_impossible_candidates_and_levels_are_refused(arguments):
    with pytest.raises(ValueError, match=r".+"):
        alpha_for(**arguments)


def test_the_next_level_is_that_of_the_next_candidate():
    assert next_alpha(alphas=[0.02, 0.01]) == alpha_for(k=3)


def test_a_thousand_candidates_never_overspend_the_life():
    assert sum(alpha_for(k=k) for k in range(1, 1_001)) < ALPHA_LIFE


def test_a_lowered_lifetime_alpha_leaves_no_more_than_the_rest_of_it():
    spent_before = [alpha_for(k=k) for k in range(1, 4)]
    rest = 0.02 - sum(spent_before)
    assert next_alpha(alphas=spent_before, alpha_life=0.02) == min(rest, alpha_for(k=4, alpha_life=0.02))
    assert next_alpha(alphas=spent_before, alpha_life=0.01) == 0
