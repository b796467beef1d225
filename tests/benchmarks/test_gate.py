import sys

import numpy as np
import pytest

from benchmarks import gate
from benchmarks.gate import (
    BETTER_RATES,
    WORSE_RATES,
    VerdictTable,
    measure_canary_false_aborts,
    measure_canary_harm,
    measure_false_promotions,
    measure_power,
    measure_worse_promotions,
    run_claims,
    simulate_candidates,
    tabulate_verdicts,
)
from promotion.gate.error_budget import alpha_for
from promotion.gate.rule import Evidence, Verdict, decide


def exact_promotion_rate(table: VerdictTable, rates: tuple[float, float]) -> float:
    """The chance of promotion by moving probability over the lattice, pair by pair, without any draw."""
    win, loss = rates
    side = table.pair_budget + 1
    mass = np.zeros((side, side))
    mass[0, 0] = 1.0
    promoted = 0.0
    for pairs in range(1, side):
        moved = (1 - win - loss) * mass
        moved[1:] += win * mass[:-1]
        moved[:, 1:] += loss * mass[:, :-1]
        promoted += moved[table.stop == 1].sum()
        mass = np.where((table.stop == 0) & (table.last >= pairs), moved, 0.0)
    return promoted


def test_the_table_gives_the_verdicts_of_the_gate_itself():
    table = tabulate_verdicts(alpha=0.05, pair_budget=30)
    rng = np.random.default_rng(5)
    for _ in range(300):
        wins = losses = 0
        for pairs, draw in enumerate(rng.random(30), start=1):
            wins += draw < 0.4
            losses += draw > 0.7
            evidence = Evidence(wins=int(wins), losses=int(losses), ties=int(pairs - wins - losses))
            verdict = decide(evidence=evidence, pair_budget=30, pairs_done=pairs, alpha=0.05).verdict
            pending = table.stop[wins, losses] == 0 and table.last[wins, losses] >= pairs
            assert pending == (verdict is Verdict.PENDING)
            assert (table.stop[wins, losses] == 1) == (verdict is Verdict.PROMOTE)
            if not pending:
                break


@pytest.mark.parametrize(("rates", "k"), [(BETTER_RATES, 1), (BETTER_RATES, 20), ((0.15, 0.15), 1)])
def test_the_simulated_rate_is_the_exact_one(rates, k):
    table = tabulate_verdicts(alpha=alpha_for(k=k))
    exact = exact_promotion_rate(table, rates)
    promoted = simulate_candidates(tables=[table], rates=rates, repeats=20_000, rng=np.random.default_rng(k))
    assert promoted.mean() == pytest.approx(exact, abs=4 * (exact * (1 - exact) / 20_000) ** 0.5)


@pytest.mark.parametrize("alpha_life", [0.05, pytest.param(0.01, marks=pytest.mark.soak)])
def test_identical_candidates_are_rarely_promoted_in_a_lifetime(alpha_life):
    claim = measure_false_promotions(seed=1, lifetimes=1_000, alpha_life=alpha_life, bound=alpha_life)
    assert claim.holds, claim


@pytest.mark.parametrize("rate", [0.05, 0.15, 0.5])
def test_the_exact_rate_of_false_promotions_keeps_the_lifetime_bound(rate):
    none_promoted = 1.0
    for k in range(1, 21):
        none_promoted *= 1 - exact_promotion_rate(tabulate_verdicts(alpha=alpha_for(k=k)), (rate, rate))
    assert 1 - none_promoted <= 0.05


@pytest.mark.parametrize(("k", "bound"), [(1, 0.90), (20, 0.80)])
def test_a_candidate_twenty_points_better_is_promoted(k, bound):
    claim = measure_power(seed=2, candidates=2_000, k=k, bound=bound)
    assert claim.holds, claim
    assert exact_promotion_rate(tabulate_verdicts(alpha=alpha_for(k=k)), BETTER_RATES) >= bound


def test_a_candidate_ten_points_worse_is_not():
    claim = measure_worse_promotions(seed=3, candidates=100_000)
    assert claim.holds, claim
    for rates in WORSE_RATES:
        assert exact_promotion_rate(tabulate_verdicts(alpha=alpha_for(k=1)), rates) <= 0.0008


@pytest.mark.parametrize("canaries", [20, pytest.param(200, marks=pytest.mark.soak)])
def test_a_canary_twenty_points_worse_is_aborted_in_time(canaries):
    claim = measure_canary_harm(seed=4, canaries=canaries)
    assert claim.holds, claim


@pytest.mark.parametrize("canaries", [20, pytest.param(100, marks=pytest.mark.soak)])
def test_a_canary_equal_to_its_baseline_is_seldom_aborted(canaries):
    claim = measure_canary_false_aborts(seed=5, canaries=canaries)
    assert claim.holds, claim


def test_the_same_seed_gives_the_same_figures():
    assert run_claims(seed=6, lifetimes=20, canaries=2) == run_claims(seed=6, lifetimes=20, canaries=2)


def test_without_numpy_the_bench_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(RuntimeError, match="pip install numpy"):
        gate.measure_canary_harm(seed=1, canaries=1)
