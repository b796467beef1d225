"""E-values: evidence that may be looked at after every pair.

An e-value starts at 1, and its expectation never grows while its null hypothesis holds (a test martingale). So by
Ville's inequality P(it ever reaches 1/alpha) <= alpha, however often it is checked. Pure, and computed exactly with
whole numbers, rounded once: the same pairs give the same verdict on every machine.

Sources: J. Ville, Étude critique de la notion de collectif (1939); G. Shafer, Testing by betting (2021);
A. Ramdas and others, Game-theoretic statistics and safe anytime-valid inference (2023).
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache


@lru_cache(maxsize=65_536)
def e_value(wins: int, losses: int) -> float:
    """Evidence against "not better": the uniform mixture over p in [1/2, 1] of the likelihood ratio to 1/2.

    E(w, l) = 2^(w+l) * 2 * integral_{1/2}^{1} p^w (1-p)^l dp. Starts at 1. `math.inf` past the largest float.
    ValueError on a negative count.

    With n = w + l, B(w+1, l+1) = 1 / ((n+1) C(n, w)) and 1 - I_1/2(w+1, l+1) = P(Bin(n+1, 1/2) <= w)
    (Abramowitz and Stegun 26.5.24), so that the powers of two cancel:
    E = sum_{i <= w} C(n+1, i) / ((n+1) C(n, w)).
    """
    if min(wins, losses) < 0:
        raise ValueError("Wins and losses cannot be negative.")
    tosses = wins + losses + 1
    # Both tails hold the same number of bits; sum the one with fewer terms.
    terms = min(wins, losses)
    term = total = 1
    for i in range(1, terms + 1):
        term = term * (tosses - i + 1) // i
        total += term
    if losses < wins:
        total = 2**tosses - total
    return divide(total, tosses * math.comb(tosses - 1, wins))


def e_value_worse(wins: int, losses: int) -> float:
    """Evidence against "not worse": the mirror image of `e_value`."""
    return e_value(losses, wins)


@lru_cache(maxsize=65_536)
def wins_needed(wins: int, losses: int, alpha: float) -> int:
    """The smallest k for which k more wins in a row bring the e-value to 1/alpha; 0 when it is there.

    ValueError on a negative count or an alpha outside (0, 1).
    """
    threshold = read_threshold(alpha)
    return find_least(lambda more: e_value(wins + more, losses) >= threshold)


def find_least(is_enough: Callable[[int], bool]) -> int:
    """The smallest whole number, from 0, that is enough; every larger one must be enough too."""
    enough = 1
    while not is_enough(enough):
        enough *= 2
    return bisect_left(range(enough), True, key=is_enough)


def read_threshold(alpha: float) -> float:
    """1/alpha, what an e-value must reach. ValueError for an alpha outside (0, 1)."""
    if not 0 < alpha < 1:
        raise ValueError(f"Alpha must lie between 0 and 1, not {alpha}.")
    return 1 / alpha


def divide(above: int, below: int) -> float:
    """The fraction, rounded once; `math.inf` past the largest float."""
    try:
        return above / below
    except OverflowError:
        return math.inf


def format_e_value(value: float) -> str:
    """An e-value for a sentence: two decimals below 10, one below 1,000, whole to a million, then powers."""
    if value < 10:
        return f"{value:.2f}"
    if value < 1_000:
        return f"{value:.1f}"
    return f"{value:,.0f}" if value < 1_000_000 else f"{value:.1e}"
