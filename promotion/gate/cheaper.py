"""The second hypothesis, *not worse and cheaper*: no loss of success beyond a tolerance, and fewer controller calls.

Two e-values, and the smaller one decides. Under "worse or not cheaper" one of the two null hypotheses holds, its
e-value reaches 1/alpha with a chance of at most alpha, and the smaller one no more often.

- Cheaper: the win-loss e-value (`e_values.py`) over the pairs in which both arms succeeded and their calls differ.
- Not worse: a bet on the paired difference of success D, 1 for a win, -1 for a loss and 0 for a tie, against
  "mean D <= -TOLERANCE": the product of 1 + BET * (D + TOLERANCE) over the pairs. Each factor is positive and its
  expectation is at most 1 under that null hypothesis (Waudby-Smith and Ramdas, Estimating means of bounded random
  variables by betting, 2023). The order of the pairs does not matter.

The bet is fixed in advance. A higher one needs fewer ties and forgives fewer losses: with ties alone 0.8 reaches 432,
the bar of the first candidate, after 155 pairs (decision 32).
"""

from functools import lru_cache

from promotion.gate.e_values import divide, find_least, read_threshold

TOLERANCE = 0.05
BET = 0.8
# The factors of the product, 1.84, 0.24 and 1.04, in 25ths: whole numbers keep it exact.
ON_WIN, ON_LOSS, ON_TIE, PARTS = 46, 6, 26, 25


@lru_cache(maxsize=65_536)
def e_not_worse(wins: int, losses: int, ties: int) -> float:
    """Evidence against "worse by the tolerance or more". Starts at 1. ValueError on a negative count."""
    if min(wins, losses, ties) < 0:
        raise ValueError("Wins, losses and ties cannot be negative.")
    return divide(ON_WIN**wins * ON_LOSS**losses * ON_TIE**ties, PARTS ** (wins + losses + ties))


@lru_cache(maxsize=65_536)
def ties_needed(wins: int, losses: int, ties: int, alpha: float) -> int:
    """The smallest k for which k more ties bring `e_not_worse` to 1/alpha; 0 when it is there."""
    threshold = read_threshold(alpha)
    return find_least(lambda more: e_not_worse(wins, losses, ties + more) >= threshold)
