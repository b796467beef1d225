"""The walks of the gate bench give the verdicts of the gate itself."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks import walks
from benchmarks.gate import BETTER_BY_20, EQUAL, solve_cheaper
from benchmarks.walks import BETTER, CHEAPER, CLOSED, PENDING, Bars, PairModel, judge_counts, make_bars, walk
from promotion.gate.error_budget import alpha_for
from promotion.gate.pairs import Evidence
from promotion.gate.rule import Decision, Hypothesis, Verdict, decide

MODELS = [
    BETTER_BY_20,
    EQUAL[0],
    EQUAL[3],
    solve_cheaper(0.0, 0.0),
    solve_cheaper(0.02, 0.02),
    PairModel(0.02, 0.1, 0.3, 0.02),
    PairModel(0.0, 0.0, 0.02, 0.0),
]


def name_verdict(decision: Decision) -> int:
    """The walks' number for it."""
    if decision.verdict is Verdict.PENDING:
        return PENDING
    return {Hypothesis.BETTER: BETTER, Hypothesis.CHEAPER: CHEAPER}.get(decision.hypothesis, CLOSED)


@pytest.mark.parametrize("budget", [40, 300])
@pytest.mark.parametrize("k", [1, 20])
def test_every_verdict_on_the_way_is_that_of_the_gate(budget, k):
    alpha, rng = alpha_for(k=k), np.random.default_rng(k)
    bars = make_bars(alphas=[alpha], pair_budget=budget)
    seen = set()
    for model in MODELS * 3:
        counts = np.zeros((4, 1), dtype=int)
        for pairs in range(1, budget + 1):
            kind = np.searchsorted(
                np.cumsum([model.win, model.loss, model.fewer_calls, model.more_calls]), rng.random()
            )
            if kind < 4:
                counts[kind, 0] += 1
            wins, losses, fewer, more = map(int, counts[:, 0])
            evidence = Evidence(wins, losses, pairs - wins - losses, fewer, more)
            expected = decide(evidence=evidence, pair_budget=budget, pairs_done=pairs, alpha=alpha)
            found = int(judge_counts(bars=bars, row=np.zeros(1, dtype=int), counts=counts, pairs=pairs)[0])
            assert found == name_verdict(expected), expected
            seen.add(found)
            if found != PENDING:
                break
    assert seen >= ({PENDING, CLOSED} if budget == 40 else {PENDING, CLOSED, BETTER, CHEAPER})


def exact_promotion_rate(bars: Bars, model: PairModel) -> float:
    """The chance that a candidate whose calls never differ is promoted: probability is moved pair by pair over wins
    and losses, without any draw.
    """
    side = bars.pair_budget + 1
    wins, losses = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    mass = np.zeros((side, side))
    mass[0, 0], promoted = 1.0, 0.0
    for pairs in range(1, side):
        moved = (1 - model.win - model.loss) * mass
        moved[1:] += model.win * mass[:-1]
        moved[:, 1:] += model.loss * mass[:, :-1]
        reached = np.nonzero(moved)
        counts = np.stack([wins[reached], losses[reached], *[np.zeros(reached[0].size, dtype=int)] * 2])
        verdict = judge_counts(bars=bars, row=np.zeros(reached[0].size, dtype=int), counts=counts, pairs=pairs)
        promoted += moved[reached][verdict == BETTER].sum()
        moved[reached] *= verdict == PENDING
        mass = moved
    return promoted


@pytest.mark.parametrize(
    ("model", "k"), [(PairModel(0.25, 0.05), 1), (PairModel(0.25, 0.05), 20), (PairModel(0.15, 0.15), 1)]
)
def test_the_share_that_is_promoted_is_the_exact_one(model, k):
    bars = make_bars(alphas=[alpha_for(k=k)], pair_budget=200)
    exact = exact_promotion_rate(bars, model)
    verdicts, _ = walk(bars=bars, model=model, repeats=20_000, rng=np.random.default_rng(k))
    assert (verdicts == BETTER).mean() == pytest.approx(exact, abs=4 * (exact * (1 - exact) / 20_000) ** 0.5)


def test_each_alpha_of_a_lifetime_has_its_own_column():
    bars = make_bars(alphas=[alpha_for(k=1), 1e-9], pair_budget=30)
    verdicts, done = walk(bars=bars, model=PairModel(win=1.0), repeats=3, rng=np.random.default_rng(0))
    assert verdicts.tolist() == [[BETTER, CLOSED]] * 3
    assert done.tolist() == [[11, 1]] * 3


def test_without_numpy_the_bench_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(RuntimeError, match="pip install numpy"):
        walks.import_numpy()
