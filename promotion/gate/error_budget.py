"""The lifetime error budget: candidates are tested without end, so each uses up a part of alpha for good.

Candidate k (counted from 1 over the product's whole life) gets alpha_k = alpha_life * gamma_k with
gamma_k = (k + 3)^-1.6 / zeta(1.6, 4). The gammas sum to 1, so by the union bound over all candidates, however many,
P(any identical or worse candidate is ever promoted) <= alpha_life: alpha spending.

Why the three: without it the first candidate gets 120 times the level of the twentieth, and one that is 10 points
worse is promoted 3.5 times in a thousand when no pair ties. With it the first candidate needs ten clean wins instead
of eight, and the twentieth needs fewer than before (decision 17).

Each alpha_k is split in advance between the two hypotheses that may promote its candidate, two thirds to *better* and
one third to *not worse and cheaper*, so that both together promote a candidate for which neither is true with a chance
of at most alpha_k.

An alpha is fixed when its candidate is built and stored with its evaluation. An invalid evaluation has spent
its share too: it was looked at. When alpha_life is lowered, no candidate gets more than what is left of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

ALPHA_LIFE = 0.05
EXPONENT = 1.6
OFFSET = 3
LEAST = 1e-9
"""A remainder below this is only the rounding error of a sum, and too small to be a level."""
ZETA = 0.7834614020
"""zeta(1.6, 4), the sum of n^-1.6 from n = 4 on, rounded up in the tenth decimal: the gammas sum to no more than 1."""
BETTER_SHARE = 2 / 3


@dataclass(frozen=True, slots=True)
class Levels:
    """The parts of one candidate's alpha at which its two hypotheses are judged."""

    better: float
    cheaper: float


def gamma_for(k: int) -> float:
    """The share of the lifetime budget that belongs to candidate `k` (from 1). ValueError below 1."""
    if k < 1:
        raise ValueError("Candidates are counted from 1.")
    return math.pow(k + OFFSET, -EXPONENT) / ZETA


def alpha_for(*, k: int, alpha_life: float = ALPHA_LIFE) -> float:
    """The level at which candidate `k` (from 1) is judged. ValueError for k < 1 or an `alpha_life` outside (0, 1)."""
    if not 0 < alpha_life < 1:
        raise ValueError(f"The lifetime alpha must lie between 0 and 1, not {alpha_life}.")
    return alpha_life * gamma_for(k)


def split_alpha(alpha: float) -> Levels:
    """The levels of both hypotheses; they sum to `alpha`. ValueError for an alpha outside (0, 1)."""
    if not 0 < alpha < 1:
        raise ValueError(f"Alpha must lie between 0 and 1, not {alpha}.")
    better = BETTER_SHARE * alpha
    return Levels(better=better, cheaper=alpha - better)


def next_alpha(*, alphas: Sequence[float], alpha_life: float = ALPHA_LIFE) -> float:
    """The level of the next candidate, when the earlier ones got `alphas`; 0 when nothing is left."""
    level = min(alpha_for(k=len(alphas) + 1, alpha_life=alpha_life), alpha_life - math.fsum(alphas))
    return level if level > LEAST else 0.0
