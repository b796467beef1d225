"""The gate bench: what the gate promises, measured through the gate's own decision code.

No model and no clock. Whole lifetimes of candidates are simulated by lookup: the verdict on every reachable
(wins, losses, pairs done) is asked of `decide` once, and the random walks then only read the table. Canaries
are few enough to ask `judge_canary` after every single outcome.

numpy is a development requirement, needed here alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from benchmarks.measurement import Measurement
from promotion.gate.error_budget import alpha_for
from promotion.gate.harm import MIN_OBSERVATIONS, WATCH_OBSERVATIONS, CanaryVerdict, judge_canary
from promotion.gate.rule import Evidence, Verdict, decide

PAIR_BUDGET = 200
CANDIDATES = 20
EQUAL_RATES = ((0.05, 0.05), (0.15, 0.15), (0.5, 0.5))
BETTER_RATES = (0.25, 0.05)
WORSE_RATES = ((0.10, 0.20), (0.20, 0.30), (0.45, 0.55))
BASELINE_RATES = (0.5, 0.7, 0.9)
CANARY_SHARE = 0.2
HARM = 0.2

_PENDING, _PROMOTE, _CLOSED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class VerdictTable:
    """`decide` on the whole lattice for one alpha.

    `stop[w, l]` is the verdict that ends the walk at w wins and l losses however few pairs were ties;
    `last[w, l]` is the most pairs done at which the verdict is still pending. Both are
    (pair_budget + 1) x (pair_budget + 1) integer arrays.
    """

    stop: Any
    last: Any
    pair_budget: int


def run_claims(*, seed: int, lifetimes: int = 10_000, canaries: int = 1_000) -> list[Measurement]:
    """Measure every promise; about 50 seconds at the default size on one core.

    `lifetimes` counts simulated lifetimes of 20 candidates, `canaries` the canaries per baseline rate.
    The same seed gives the same figures. RuntimeError without numpy.
    """
    return [
        measure_false_promotions(seed=seed, lifetimes=lifetimes, alpha_life=0.05, bound=0.05),
        measure_false_promotions(seed=seed + 1, lifetimes=lifetimes, alpha_life=0.01, bound=0.01),
        measure_power(seed=seed + 2, candidates=lifetimes, k=1, bound=0.90),
        measure_power(seed=seed + 3, candidates=lifetimes, k=CANDIDATES, bound=0.80),
        measure_worse_promotions(seed=seed + 4, candidates=lifetimes * CANDIDATES),
        measure_canary_harm(seed=seed + 5, canaries=canaries),
        measure_canary_false_aborts(seed=seed + 6, canaries=canaries),
    ]


def measure_false_promotions(*, seed: int, lifetimes: int, alpha_life: float, bound: float) -> Measurement:
    """A/A: the share of lifetimes of 20 identical candidates in which any was promoted.

    The figure is the largest over several shares of ties, since more discordant pairs are more chances.
    """
    levels = [alpha_for(k=k, alpha_life=alpha_life) for k in range(1, CANDIDATES + 1)]
    tables = [tabulate_verdicts(alpha=alpha) for alpha in levels]
    rng = _numpy().random.default_rng(seed)
    figures = []
    for rates in EQUAL_RATES:
        promoted = simulate_candidates(tables=tables, rates=rates, repeats=lifetimes, rng=rng)
        figures.append(float(promoted.any(axis=1).mean()))
    by_rate = ", ".join(f"{w:g}: {share:.2%}" for (w, _), share in zip(EQUAL_RATES, figures, strict=True))
    return Measurement(
        claim=f"Identical candidates: any false promotion in a lifetime at alpha {alpha_life:g}",
        figure=max(figures),
        bound=bound,
        unit="share of lifetimes, at most",
        holds=max(figures) <= bound,
        setup=f"{lifetimes} lifetimes of {CANDIDATES} candidates, up to {PAIR_BUDGET} pairs, a look after "
        f"every pair; by P(win) = P(loss) per pair: {by_rate}; the figure is the largest",
    )


def measure_power(*, seed: int, candidates: int, k: int, bound: float) -> Measurement:
    """The share of candidates 20 points better that are promoted when they come as number `k`."""
    figure = _promoted_share(seed=seed, k=k, rates=BETTER_RATES, repeats=candidates)
    return Measurement(
        claim=f"A candidate 20 points better is promoted as number {k}",
        figure=figure,
        bound=bound,
        unit="share of candidates, at least",
        holds=figure >= bound,
        setup=_describe(BETTER_RATES, candidates, k),
    )


def measure_worse_promotions(*, seed: int, candidates: int, bound: float = 0.001) -> Measurement:
    """The share of candidates 10 points worse that are promoted as the first, when the bar is lowest.

    The figure is the largest over three, five and all of ten pairs discordant: the more are, the closer to a fair
    coin lie the same 10 points. By exact reckoning 0.002 %, 0.017 % and 0.076 %.
    """
    figures = [
        _promoted_share(seed=seed + place, k=1, rates=rates, repeats=candidates)
        for place, rates in enumerate(WORSE_RATES)
    ]
    by_rate = ", ".join(
        f"{win + loss:.0%}: {share:.3%}" for (win, loss), share in zip(WORSE_RATES, figures, strict=True)
    )
    return Measurement(
        claim="A candidate 10 points worse is promoted",
        figure=max(figures),
        bound=bound,
        unit="share of candidates, at most",
        holds=max(figures) <= bound,
        setup=f"{candidates} candidates per share of discordant pairs, up to {PAIR_BUDGET} pairs, a look after every "
        f"pair, alpha {alpha_for(k=1):.2g} as number 1 of a lifetime at 0.05; by discordant pairs: {by_rate}; "
        "the figure is the largest",
    )


def measure_canary_harm(*, seed: int, canaries: int, bound: float = 0.90, share: float = CANARY_SHARE) -> Measurement:
    """The share of canaries 20 points worse that are aborted within 60 observations of the candidate.

    The figure is the smallest over several baseline rates.
    """
    figures = _aborted_shares(seed=seed, deficit=HARM, canaries=canaries, share=share)
    return Measurement(
        claim=f"A canary 20 points worse is aborted within {WATCH_OBSERVATIONS} observations of its own",
        figure=min(figures),
        bound=bound,
        unit="share of canaries, at least",
        holds=min(figures) >= bound,
        setup=_describe_canaries(figures, canaries, share),
    )


def measure_canary_false_aborts(
    *, seed: int, canaries: int, bound: float = 0.25, share: float = CANARY_SHARE
) -> Measurement:
    """The price of that: the share of canaries equal to their baseline that are aborted all the same."""
    figures = _aborted_shares(seed=seed, deficit=0.0, canaries=canaries, share=share)
    return Measurement(
        claim="A canary equal to its baseline is aborted",
        figure=max(figures),
        bound=bound,
        unit="share of canaries, at most",
        holds=max(figures) <= bound,
        setup=_describe_canaries(figures, canaries, share),
    )


@lru_cache(maxsize=128)
def tabulate_verdicts(*, alpha: float, pair_budget: int = PAIR_BUDGET) -> VerdictTable:
    """Ask `decide` about every (wins, losses) that a walk can reach, and when its pending ends.

    RuntimeError without numpy, or when `decide` contradicts the end of pending that it announced itself.
    """
    np = _numpy()
    size = (pair_budget + 1, pair_budget + 1)
    stop = np.full(size, _CLOSED, dtype=np.int8)
    last = np.zeros(size, dtype=np.int16)
    front = {(0, 0)}
    while front:
        reached: set[tuple[int, int]] = set()
        for wins, losses in front:
            stop[wins, losses], last[wins, losses] = _ask(wins, losses, alpha, pair_budget)
            if stop[wins, losses] == _PENDING and last[wins, losses] >= wins + losses:
                reached |= {(wins + 1, losses), (wins, losses + 1)}
        front = reached
    return VerdictTable(stop=stop, last=last, pair_budget=pair_budget)


def _ask(wins: int, losses: int, alpha: float, pair_budget: int) -> tuple[int, int]:
    """The verdict without ties, and the last number of pairs at which it is pending."""

    def verdict_at(pairs: int) -> Verdict:
        evidence = Evidence(wins=wins, losses=losses, ties=pairs - wins - losses)
        return decide(evidence=evidence, pair_budget=pair_budget, pairs_done=pairs, alpha=alpha).verdict

    tieless = Evidence(wins=wins, losses=losses)
    first = decide(evidence=tieless, pair_budget=pair_budget, pairs_done=tieless.pairs, alpha=alpha)
    if first.verdict is Verdict.PROMOTE:
        return _PROMOTE, 0
    if first.verdict is not Verdict.PENDING:
        return _CLOSED, 0
    last = pair_budget - first.wins_needed
    if verdict_at(last) is not Verdict.PENDING or verdict_at(last + 1) is Verdict.PENDING:
        raise RuntimeError(f"At {wins}-{losses} the verdict does not turn after {last} pairs.")
    return _PENDING, last


def simulate_candidates(*, tables: Sequence[VerdictTable], rates: tuple[float, float], repeats: int, rng: Any) -> Any:
    """Walk every candidate pair by pair until its verdict.

    `rates` are P(win) and P(loss) per pair, `tables[k]` judges the k-th candidate of every repeat, `rng` is a
    numpy Generator. Returns a boolean array, repeats x len(tables): promoted or not.
    """
    np = _numpy()
    win_rate, loss_rate = rates
    stop = np.stack([table.stop for table in tables]).ravel()
    last = np.stack([table.last for table in tables]).ravel()
    side = tables[0].pair_budget + 1
    promoted = np.zeros(repeats * len(tables), dtype=bool)
    walker = np.arange(promoted.size)
    # One flat index per walker: its table, wins and losses; a win adds `side`, a loss adds 1.
    place = np.tile(np.arange(len(tables), dtype=np.int64) * side * side, repeats)
    for pairs in range(1, side):
        draw = rng.random(walker.size, dtype=np.float32)
        place += side * (draw < win_rate) + (draw >= 1 - loss_rate)
        verdict = stop[place]
        promoted[walker[verdict == _PROMOTE]] = True
        going = (verdict == _PENDING) & (last[place] >= pairs)
        walker, place = walker[going], place[going]
        if not walker.size:
            break
    return promoted.reshape(repeats, len(tables))


def simulate_canaries(*, baseline_rate: float, candidate_rate: float, canaries: int, share: float, rng: Any) -> float:
    """Run canaries outcome by outcome, asking `judge_canary` with its defaults after each one.

    Every outcome goes to the candidate with probability `share`. Returns the share of canaries aborted; one
    still pending when the traffic ends is not, but the traffic allows for 60 candidate observations with six
    standard deviations to spare.
    """
    wanted = max(WATCH_OBSERVATIONS, MIN_OBSERVATIONS / (1 - share))
    length = int((wanted + 6 * wanted**0.5) / share)
    aborted = 0
    for _ in range(canaries):
        served = (rng.random(length) < share).tolist()
        draws = rng.random(length).tolist()
        end = _end_of_canary(served, draws, candidate_rate, baseline_rate)
        aborted += end is CanaryVerdict.ABORT
    return aborted / canaries


def _end_of_canary(
    served: Sequence[bool], draws: Sequence[float], candidate_rate: float, baseline_rate: float
) -> CanaryVerdict:
    won = runs = base_won = base_runs = 0
    for by_candidate, draw in zip(served, draws, strict=True):
        if by_candidate:
            runs += 1
            won += draw < candidate_rate
        else:
            base_runs += 1
            base_won += draw < baseline_rate
        verdict = judge_canary(candidate=(won, runs), baseline=(base_won, base_runs)).verdict
        if verdict is not CanaryVerdict.PENDING:
            return verdict
    return CanaryVerdict.PENDING


def _promoted_share(*, seed: int, k: int, rates: tuple[float, float], repeats: int) -> float:
    table = tabulate_verdicts(alpha=alpha_for(k=k))
    rng = _numpy().random.default_rng(seed)
    return float(simulate_candidates(tables=[table], rates=rates, repeats=repeats, rng=rng).mean())


def _aborted_shares(*, seed: int, deficit: float, canaries: int, share: float) -> list[float]:
    rng = _numpy().random.default_rng(seed)
    pairs = [(rate, rate - deficit) for rate in BASELINE_RATES]
    return [
        simulate_canaries(baseline_rate=b, candidate_rate=c, canaries=canaries, share=share, rng=rng) for b, c in pairs
    ]


def _describe(rates: tuple[float, float], candidates: int, k: int) -> str:
    return (
        f"{candidates} candidates, P(win) {rates[0]:g} and P(loss) {rates[1]:g} per pair, "
        f"up to {PAIR_BUDGET} pairs, a look after every pair, "
        f"alpha {alpha_for(k=k):.2g} as number {k} of a lifetime at 0.05"
    )


def _describe_canaries(figures: Sequence[float], canaries: int, share: float) -> str:
    by_rate = ", ".join(f"{b:.0%}: {end:.1%}" for b, end in zip(BASELINE_RATES, figures, strict=True))
    return (
        f"{canaries} canaries per baseline rate, {share:.0%} of the traffic to the candidate, a look after "
        f"every outcome, at most {WATCH_OBSERVATIONS} observations of the candidate and about "
        f"{WATCH_OBSERVATIONS * (1 - share) / share:.0f} of the baseline; by baseline rate: {by_rate}; "
        "the figure is the worst"
    )


def _numpy() -> Any:
    try:
        import numpy
    except ImportError as error:
        raise RuntimeError("The gate bench needs numpy: pip install numpy.") from error
    return numpy
