"""The lifetime error budget: candidates are tested without end, so each uses up a part of alpha for good.

Candidate k (counted from 1 over the product's whole life) gets alpha_k = alpha_life * gamma_k with
gamma_k = (k + 3)^-1.6 / zeta(1.6, 4). The gammas sum to 1, so by the union bound over all candidates, however many,
P(any identical or worse candidate is ever promoted) <= alpha_life: spending, the default rule.

Why the three: without it the first candidate gets 120 times the level of the twentieth, and one that is 10 points
worse is promoted 3.5 times in a thousand when no pair ties. With it the first candidate needs ten clean wins instead
of eight, and the twentieth needs fewer than before (decision 17).

e-LOND (Xu and Ramdas, Online multiple testing with e-values, 2024) multiplies the level by one plus the
promotions so far. It keeps its power for longer and bounds the false discovery rate, the expected share of
false ones among all promotions, at alpha_life; it no longer bounds the chance of any false promotion.

Each alpha_k is split in advance between the two hypotheses that may promote its candidate, two thirds to *better* and
one third to *not worse and cheaper*, so that both together promote a candidate for which neither is true with a chance
of at most alpha_k.

An alpha is fixed when its candidate is built and stored with its evaluation. An invalid evaluation has spent
its share too: it was looked at. When alpha_life is lowered, no candidate gets more than what is left of it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

ALPHA_LIFE = 0.05
EXPONENT = 1.6
OFFSET = 3
LEAST = 1e-9
"""A remainder below this is only the rounding error of a sum, and too small to be a level."""
ZETA = 0.7834614020
"""zeta(1.6, 4), the sum of n^-1.6 from n = 4 on, rounded up in the tenth decimal: the gammas sum to no more than 1."""
BETTER_SHARE = 2 / 3


class Rule(StrEnum):
    """How the lifetime budget is divided among candidates."""

    SPENDING = "spending"
    E_LOND = "e-lond"


@dataclass(frozen=True, slots=True)
class Levels:
    """The parts of one candidate's alpha at which its two hypotheses are judged."""

    better: float
    cheaper: float


@dataclass(frozen=True, slots=True)
class Spent:
    """The budget as the page shows it.

    `spent` and `left` are parts of `alpha_life` (under e-LOND `spent` may exceed it, and `left` is then 0);
    `next_alpha` is what the next candidate gets. `expected_false_promotions` is an upper bound: it takes
    every candidate so far to be no better than its baseline.
    """

    alpha_life: float
    candidates: int
    promotions: int
    spent: float
    left: float
    expected_false_promotions: float
    next_alpha: float
    reason: str


def gamma_for(k: int) -> float:
    """The share of the lifetime budget that belongs to candidate `k` (from 1). ValueError below 1."""
    if k < 1:
        raise ValueError("Candidates are counted from 1.")
    return math.pow(k + OFFSET, -EXPONENT) / ZETA


def alpha_for(*, k: int, promotions: int = 0, alpha_life: float = ALPHA_LIFE, rule: Rule = Rule.SPENDING) -> float:
    """The level at which candidate `k` (from 1) is judged, given the promotions before it.

    Under SPENDING the promotions do not matter. ValueError when `k` is below 1, when there were more
    promotions than earlier candidates, or when `alpha_life` lies outside (0, 1).
    """
    if not 0 < alpha_life < 1:
        raise ValueError(f"The lifetime alpha must lie between 0 and 1, not {alpha_life}.")
    share = gamma_for(k)
    if not 0 <= promotions < k:
        raise ValueError(f"{promotions} promotions do not fit before candidate {k}.")
    growth = promotions + 1 if rule is Rule.E_LOND else 1
    return alpha_life * share * growth


def split_alpha(alpha: float) -> Levels:
    """The levels of both hypotheses; they sum to `alpha`. ValueError for an alpha outside (0, 1)."""
    if not 0 < alpha < 1:
        raise ValueError(f"Alpha must lie between 0 and 1, not {alpha}.")
    better = BETTER_SHARE * alpha
    return Levels(better=better, cheaper=alpha - better)


def next_alpha(*, alphas: Iterable[float], alpha_life: float = ALPHA_LIFE) -> float:
    """The level of the next candidate, when the earlier ones got `alphas`; 0 when nothing is left."""
    given = list(alphas)
    level = min(alpha_for(k=len(given) + 1, alpha_life=alpha_life), alpha_life - math.fsum(given))
    return level if level > LEAST else 0.0


def spent(
    *,
    alphas: Iterable[float],
    promotions: int = 0,
    alpha_life: float = ALPHA_LIFE,
    rule: Rule = Rule.SPENDING,
) -> Spent:
    """Sum up the levels that the candidates so far actually got, in order.

    The levels come from the stored evaluations, not from the formula, so that a change of the setting does
    not rewrite what was spent. Each bounds its own candidate's chance of a false promotion, so their sum
    bounds the expected number of them. Raises as `alpha_for` does.
    """
    given = list(alphas)
    total = sum(given)
    following = alpha_for(k=len(given) + 1, promotions=promotions, alpha_life=alpha_life, rule=rule)
    if rule is Rule.SPENDING:
        following = next_alpha(alphas=given, alpha_life=alpha_life)
    then = f"the next is judged at {following:.2g}" if following else "nothing is left for another"
    reason = (
        f"{len(given)} candidate{'' if len(given) == 1 else 's'} spent {total:.4f} of {alpha_life:g}; "
        f"at most {total:.4f} false promotions expected so far; {then}."
    )
    return Spent(
        alpha_life=alpha_life,
        candidates=len(given),
        promotions=promotions,
        spent=total,
        left=max(0.0, alpha_life - total),
        expected_false_promotions=total,
        next_alpha=following,
        reason=reason,
    )
