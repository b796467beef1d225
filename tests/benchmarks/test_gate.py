import pytest

from benchmarks.canaries import measure_canary_false_aborts, measure_canary_harm
from benchmarks.gate import (
    measure_cheaper,
    measure_cheaper_and_worse,
    measure_false_promotions,
    measure_power,
    measure_worse_promotions,
    run_claims,
)


@pytest.mark.parametrize("alpha_life", [0.05, pytest.param(0.01, marks=pytest.mark.soak)])
def test_identical_candidates_are_rarely_promoted_in_a_lifetime_by_either_hypothesis(alpha_life):
    claim = measure_false_promotions(seed=1, lifetimes=300, alpha_life=alpha_life, bound=alpha_life)
    assert claim.holds, claim


@pytest.mark.parametrize(("k", "bound"), [(1, 0.90), (20, 0.80)])
def test_a_candidate_twenty_points_better_is_promoted(k, bound):
    claim = measure_power(seed=2, candidates=2_000, k=k, bound=bound)
    assert claim.holds, claim


def test_a_candidate_ten_points_worse_is_not():
    claim = measure_worse_promotions(seed=3, candidates=20_000)
    assert claim.holds, claim


def test_a_candidate_with_a_third_fewer_calls_at_equal_success_is_promoted():
    # 10,000 candidates give 90.6 %; so few are a point or so apart from that by chance.
    claim = measure_cheaper(seed=7, candidates=4_000, bound=0.89)
    assert claim.holds, claim


def test_a_candidate_with_a_third_fewer_calls_and_ten_points_worse_is_not():
    claim = measure_cheaper_and_worse(seed=8, candidates=20_000)
    assert claim.holds, claim


# Of 40 canaries a base rate, the worst of four rates is some ten points off by chance.
@pytest.mark.parametrize(("canaries", "bound"), [(40, 0.8), pytest.param(1_000, 0.9, marks=pytest.mark.soak)])
def test_a_canary_twenty_points_worse_is_aborted_in_time(canaries, bound):
    claim = measure_canary_harm(seed=4, canaries=canaries, bound=bound)
    assert claim.holds, claim


@pytest.mark.parametrize(("canaries", "bound"), [(40, 0.35), pytest.param(600, 0.25, marks=pytest.mark.soak)])
def test_a_canary_equal_to_its_baseline_is_seldom_aborted(canaries, bound):
    claim = measure_canary_false_aborts(seed=5, canaries=canaries, bound=bound)
    assert claim.holds, claim


def test_the_same_seed_gives_the_same_figures():
    assert run_claims(seed=6, lifetimes=20, canaries=2) == run_claims(seed=6, lifetimes=20, canaries=2)
