"""Random walks of whole evaluations through the gate's verdicts, many at once.

The product asks `decide` after every pair. Here its verdicts are reckoned for thousands of candidates at a time, from
the same counts and from the product's own functions: the wins that a threshold needs (`wins_needed`), the factors of
the bet (`cheaper.py`) and the likely most (`find_most`). `tests/benchmarks/test_walks.py` compares the verdicts with
those of `decide`, pair by pair on random walks.

numpy is a development requirement, needed by benchmarks alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log
from typing import Any

from promotion.gate.cheaper import ON_LOSS, ON_TIE, ON_WIN, PARTS
from promotion.gate.e_values import wins_needed
from promotion.gate.error_budget import split_alpha
from promotion.gate.reach import LEAST_PAIRS, find_most
from promotion.gate.rule import WORSE_ALPHA

PENDING, CLOSED, BETTER, CHEAPER = range(4)
_WIN, _LOSS, _TIE = (log(factor / PARTS) for factor in (ON_WIN, ON_LOSS, ON_TIE))


@dataclass(frozen=True, slots=True)
class PairModel:
    """What one pair brings: chances of a win and of a loss, and of a tie that both solve, in which the candidate needs
    fewer or more calls. The rest are ties that say nothing of calls.
    """

    win: float = 0.0
    loss: float = 0.0
    fewer_calls: float = 0.0
    more_calls: float = 0.0


@dataclass(frozen=True, slots=True)
class Bars:
    """What the counts must reach, for one alpha a row.

    `wins[a, l]` are the wins needed at l losses to be better, `calls[a, m]` the pairs with fewer calls needed at m with
    more, `not_worse[a]` the logarithm that the bet must reach. `worse[w]` are the losses that prove the candidate worse
    at w wins. `most[n, h]` is the likely most of the pairs after n, of which h were hits. All are integer arrays, but
    for the logarithms.
    """

    wins: Any
    calls: Any
    not_worse: Any
    worse: Any
    most: Any
    pair_budget: int


def make_bars(*, alphas: Sequence[float], pair_budget: int) -> Bars:
    """The bars of candidates with these alphas. RuntimeError without numpy."""
    np = import_numpy()
    levels, counts = [split_alpha(alpha) for alpha in alphas], range(pair_budget + 1)
    return Bars(
        wins=np.array([[wins_needed(0, losses, level.better) for losses in counts] for level in levels]),
        calls=np.array([[wins_needed(0, more, level.cheaper) for more in counts] for level in levels]),
        not_worse=np.array([log(1 / level.cheaper) for level in levels]),
        worse=np.array([wins_needed(0, wins, WORSE_ALPHA) for wins in counts]),
        most=_tabulate_most(pair_budget),
        pair_budget=pair_budget,
    )


@lru_cache(maxsize=4)
def _tabulate_most(pair_budget: int) -> Any:
    most = import_numpy().zeros((pair_budget + 1, pair_budget + 1), dtype=int)
    for seen in range(LEAST_PAIRS, pair_budget):
        most[seen, : seen + 1] = [find_most(hits, seen=seen, more=pair_budget - seen) for hits in range(seen + 1)]
    return most


def judge_counts(*, bars: Bars, row: Any, counts: Any, pairs: int) -> Any:
    """The verdict on each walker after `pairs` pairs: PENDING, CLOSED, BETTER or CHEAPER.

    `counts` are four arrays: wins, losses, pairs with fewer calls and with more; `row` says which alpha is whose.
    """
    np = import_numpy()
    wins, losses, fewer, more = counts
    left, bar = bars.pair_budget - pairs, bars.not_worse[row]
    wins_short = bars.wins[row, losses] - wins
    calls_short = np.maximum(bars.calls[row, more] - fewer, 0)
    bet = wins * _WIN + losses * _LOSS + (pairs - wins - losses) * _TIE

    def is_open(most_wins: Any, most_fewer: Any) -> Any:
        won = np.minimum(most_wins, left - calls_short)
        is_within = (calls_short <= np.minimum(left, most_fewer)) & (bet + won * _WIN + (left - won) * _TIE >= bar)
        return (wins_short <= most_wins) | is_within

    going = is_open(left, left)
    if pairs >= LEAST_PAIRS:
        going &= is_open(bars.most[pairs, wins], bars.most[pairs, fewer])
    verdict = np.where(going & (left > 0), PENDING, CLOSED)
    verdict[(calls_short == 0) & (bet >= bar)] = CHEAPER
    verdict[losses >= bars.worse[wins]] = CLOSED
    verdict[wins_short <= 0] = BETTER
    return verdict


def walk(*, bars: Bars, model: PairModel, repeats: int, rng: Any) -> tuple[Any, Any]:
    """Walk every candidate pair by pair until its verdict: one for each alpha of the bars, `repeats` times.

    Returns two arrays, repeats x alphas: the verdict, and the pairs done by then. `rng` is a numpy Generator.
    """
    np = import_numpy()
    alphas = len(bars.not_worse)
    walker, row = np.arange(repeats * alphas), np.tile(np.arange(alphas), repeats)
    verdicts, done = np.full(walker.size, CLOSED), np.full(walker.size, bars.pair_budget)
    counts = np.zeros((4, walker.size), dtype=np.int32)
    edges = np.cumsum([model.win, model.loss, model.fewer_calls, model.more_calls])
    for pairs in range(1, bars.pair_budget + 1):
        kind = np.searchsorted(edges, rng.random(walker.size), side="right")
        for place, count in enumerate(counts):
            count += kind == place
        verdict = judge_counts(bars=bars, row=row, counts=counts, pairs=pairs)
        ended = verdict != PENDING
        verdicts[walker[ended]], done[walker[ended]] = verdict[ended], pairs
        walker, row, counts = walker[~ended], row[~ended], counts[:, ~ended]
        if not walker.size:
            break
    return verdicts.reshape(repeats, alphas), done.reshape(repeats, alphas)


def import_numpy() -> Any:
    """numpy. RuntimeError when it is not installed."""
    try:
        import numpy
    except ImportError as error:
        raise RuntimeError("The gate bench needs numpy: pip install numpy.") from error
    return numpy
