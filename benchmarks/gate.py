"""The gate bench: what the gate promises, measured by walking many candidates through its own verdicts (`walks.py`).

No model and no clock. Every candidate is looked at after every pair and may be promoted by either hypothesis.
"""

from collections.abc import Sequence

from benchmarks.canaries import measure_canary_false_aborts, measure_canary_harm
from benchmarks.measurement import Measurement, at_least, at_most
from benchmarks.walks import BETTER, CHEAPER, PairModel, import_numpy, make_bars, walk
from promotion.gate.error_budget import alpha_for

PAIR_BUDGET = 300
SOON = 200
CANDIDATES = 20
# Both arms solve 60 of 100 tasks. Where both do, calls differ in 70 of 100 pairs.
SOLVED = 0.6
NOISE = 0.35
# A third fewer calls: the candidate needs fewer in 6 of 10 pairs that both solve, and more in 1.
FEWER, MORE = 0.6, 0.1
# The first three: more discordant pairs are more chances to be better. The last two never differ in success or in
# one pair of fifty, and always in calls: the most chances to be cheaper.
EQUAL = (
    PairModel(0.05, 0.05, NOISE * SOLVED, NOISE * SOLVED),
    PairModel(0.15, 0.15, NOISE * (SOLVED - 0.15), NOISE * (SOLVED - 0.15)),
    PairModel(0.5, 0.5),
    PairModel(0.01, 0.01, 0.49, 0.49),
    PairModel(0.0, 0.0, 0.5, 0.5),
)
BETTER_BY_20 = PairModel(0.25, 0.05, NOISE * (SOLVED - 0.05), NOISE * (SOLVED - 0.05))
# Ten points worse, by how many pairs are discordant.
WORSE_RATES = ((0.0, 0.10), (0.10, 0.20), (0.20, 0.30), (0.45, 0.55))


def solve_cheaper(win: float, loss: float) -> PairModel:
    """A candidate that needs a third fewer calls where both succeed; the baseline solves 60 of 100 tasks."""
    both = SOLVED - loss
    return PairModel(win, loss, FEWER * both, MORE * both)


def run_claims(*, seed: int, lifetimes: int = 10_000, canaries: int = 1_000) -> list[Measurement]:
    """Measure every promise.

    `lifetimes` counts simulated lifetimes of 20 candidates, `canaries` the canaries per baseline rate.
    The same seed gives the same figures. RuntimeError without numpy.
    """
    return [
        measure_false_promotions(seed=seed, lifetimes=lifetimes, alpha_life=0.05, bound=0.05),
        measure_false_promotions(seed=seed + 1, lifetimes=lifetimes, alpha_life=0.01, bound=0.01),
        measure_power(seed=seed + 2, candidates=lifetimes, k=1, bound=0.90),
        measure_power(seed=seed + 3, candidates=lifetimes, k=CANDIDATES, bound=0.80),
        measure_worse_promotions(seed=seed + 4, candidates=lifetimes * CANDIDATES),
        measure_cheaper(seed=seed + 7, candidates=lifetimes),
        measure_cheaper_and_worse(seed=seed + 8, candidates=lifetimes * CANDIDATES),
        measure_canary_harm(seed=seed + 5, canaries=canaries),
        measure_canary_false_aborts(seed=seed + 6, canaries=canaries),
    ]


def measure_false_promotions(*, seed: int, lifetimes: int, alpha_life: float, bound: float) -> Measurement:
    """A/A: the share of lifetimes of 20 identical candidates in which any was promoted, by either hypothesis.

    The figure is the largest over several kinds of pairs.
    """
    levels = [alpha_for(k=k, alpha_life=alpha_life) for k in range(1, CANDIDATES + 1)]
    bars = make_bars(alphas=levels, pair_budget=PAIR_BUDGET)
    rng = import_numpy().random.default_rng(seed)
    figures, told = [], []
    for model in EQUAL:
        verdicts, _ = walk(bars=bars, model=model, repeats=lifetimes, rng=rng)
        either, cheaper = ((found.any(axis=1)).mean() for found in (verdicts >= BETTER, verdicts == CHEAPER))
        figures.append(float(either))
        told.append(f"{model.win:g} and {model.fewer_calls:.2g}: {either:.2%}, {cheaper:.2%} as cheaper")
    return at_most(
        f"Identical candidates: any false promotion in a lifetime at alpha {alpha_life:g}",
        max(figures),
        bound,
        "share of lifetimes, at most",
        f"{lifetimes} lifetimes of {CANDIDATES} candidates, up to {PAIR_BUDGET} pairs, a look after every pair, "
        f"both hypotheses; by P(win) = P(loss) and P(fewer calls) = P(more calls) per pair: {'; '.join(told)}; "
        "the figure is the largest",
    )


def measure_power(*, seed: int, candidates: int, k: int, bound: float) -> Measurement:
    """The share of candidates 20 points better that are promoted within 200 pairs when they come as number `k`."""
    figure = _promoted_shares([BETTER_BY_20], seed=seed, k=k, repeats=candidates, within=SOON)[0]
    return at_least(
        f"A candidate 20 points better is promoted as number {k} within {SOON} pairs",
        figure,
        bound,
        "share of candidates, at least",
        f"P(win) {BETTER_BY_20.win:g} and P(loss) {BETTER_BY_20.loss:g} per pair, {_describe(candidates, k)}",
    )


def measure_worse_promotions(*, seed: int, candidates: int, bound: float = 0.001) -> Measurement:
    """The share of candidates 10 points worse that are promoted as the first, when the bar is lowest.

    The figure is the largest over several shares of discordant pairs: the more are, the closer to a fair coin lie the
    same 10 points. Calls differ either way with equal chance.
    """
    models = [PairModel(win, loss, *[NOISE * max(0.0, SOLVED - loss)] * 2) for win, loss in WORSE_RATES]
    figures = _promoted_shares(models, seed=seed, k=1, repeats=candidates)
    return at_most(
        "A candidate 10 points worse is promoted",
        max(figures),
        bound,
        "share of candidates, at most",
        f"{_describe(candidates, 1)}; by discordant pairs: {_list_discordant(models, figures)}; "
        "the figure is the largest",
    )


def measure_cheaper(*, seed: int, candidates: int, bound: float = 0.90) -> Measurement:
    """The share of candidates with a third fewer calls at equal success that are promoted as the first.

    The figure is that of one pair in fifty discordant; the more are, the harder it is to show that none is lost.
    """
    models = [solve_cheaper(rate, rate) for rate in (0.01, 0.0, 0.005, 0.02, 0.03)]
    figures = _promoted_shares(models, seed=seed, k=1, repeats=candidates)
    return at_least(
        "A candidate with a third fewer calls at equal success is promoted",
        figures[0],
        bound,
        "share of candidates, at least",
        f"{_describe_cheaper()}, {_describe(candidates, 1)}; by discordant pairs: "
        f"{_list_discordant(models, figures)}; the figure is the first",
    )


def measure_cheaper_and_worse(*, seed: int, candidates: int, bound: float = 0.005) -> Measurement:
    """The share of candidates with a third fewer calls and 10 points less success that are promoted as the first."""
    models = [solve_cheaper(win, loss) for win, loss in WORSE_RATES]
    figures = _promoted_shares(models, seed=seed, k=1, repeats=candidates)
    return at_most(
        "A candidate with a third fewer calls and 10 points worse is promoted",
        max(figures),
        bound,
        "share of candidates, at most",
        f"{_describe_cheaper()}, {_describe(candidates, 1)}; by discordant pairs: "
        f"{_list_discordant(models, figures)}; the figure is the largest",
    )


def _promoted_shares(
    models: Sequence[PairModel], *, seed: int, k: int, repeats: int, within: int = PAIR_BUDGET
) -> list[float]:
    bars = make_bars(alphas=[alpha_for(k=k)], pair_budget=PAIR_BUDGET)
    rng = import_numpy().random.default_rng(seed)
    shares = []
    for model in models:
        verdicts, done = walk(bars=bars, model=model, repeats=repeats, rng=rng)
        shares.append(float(((verdicts >= BETTER) & (done <= within)).mean()))
    return shares


def _describe(candidates: int, k: int) -> str:
    return (
        f"{candidates} candidates each, up to {PAIR_BUDGET} pairs, a look after every pair, "
        f"alpha {alpha_for(k=k):.2g} as number {k} of a lifetime at 0.05"
    )


def _describe_cheaper() -> str:
    return (
        f"the baseline solves {SOLVED:.0%}; where both succeed the candidate needs fewer calls in {FEWER:.0%}, "
        f"more in {MORE:.0%}"
    )


def _list_discordant(models: Sequence[PairModel], figures: Sequence[float]) -> str:
    return ", ".join(f"{model.win + model.loss:.0%}: {share:.3%}" for model, share in zip(models, figures, strict=True))
