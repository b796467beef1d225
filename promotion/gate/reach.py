"""Whether the pairs that are left can still promote the candidate, as better or as not worse and cheaper.

A candidate for which neither can come true is given up before its pairs are spent. That can only end an evaluation
early, so it costs no validity: it never makes a promotion more likely.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import comb

from promotion.gate.cheaper import e_not_worse
from promotion.gate.e_values import read_threshold, wins_needed
from promotion.gate.error_budget import Levels
from promotion.gate.pairs import Evidence

# With fewer pairs the prior would weigh as much as what was measured.
LEAST_PAIRS = 30
# 1 / 2.5 %: two hypotheses of which neither is as likely as that are together less likely than 5 %.
UNLIKELY = 40


@dataclass(frozen=True, slots=True)
class Room:
    """What `pairs` more pairs can bring: at most so many wins, and so many in which both succeed in fewer calls."""

    pairs: int
    wins: int
    fewer_calls: int

    def holds(self, evidence: Evidence, *, levels: Levels) -> bool:
        """Whether it is enough to promote, by either hypothesis.

        The best that can come for *not worse and cheaper*: as many pairs with fewer calls as that e-value needs, each a
        tie, then wins, and no loss.
        """
        if wins_needed(evidence.wins, evidence.losses, levels.better) <= self.wins:
            return True
        needed = wins_needed(evidence.fewer_calls, evidence.more_calls, levels.cheaper)
        if needed > min(self.pairs, self.fewer_calls):
            return False
        won = min(self.wins, self.pairs - needed)
        best = e_not_worse(evidence.wins + won, evidence.losses, evidence.ties + self.pairs - won)
        return best >= read_threshold(levels.cheaper)


def find_room(pairs: int) -> Room:
    """All that can come at the very best."""
    return Room(pairs, pairs, pairs)


def find_likely_room(evidence: Evidence, *, pairs: int) -> Room:
    """All that is not unlikely, by what was measured so far; everything before LEAST_PAIRS."""
    if evidence.pairs < LEAST_PAIRS:
        return find_room(pairs)
    return Room(
        pairs,
        find_most(evidence.wins, seen=evidence.pairs, more=pairs),
        find_most(evidence.fewer_calls, seen=evidence.pairs, more=pairs),
    )


@lru_cache(maxsize=65_536)
def find_most(hits: int, *, seen: int, more: int) -> int:
    """The most hits in `more` further pairs with a predictive probability of 2.5 % or more, after `hits` of `seen`.

    The rate of hits has a uniform prior, so the further hits are beta-binomial:
    P(j) = C(hits + j, j) C(misses + more - j, more - j) / C(seen + more + 1, more), here in whole numbers
    (Gelman and others, Bayesian Data Analysis, 2.4; predictive probability as a rule to stop a trial for futility:
    Lee and Liu, A predictive probability design for phase II cancer clinical trials, 2008).
    """
    misses, whole = seen - hits, comb(seen + more + 1, more)
    tail, term = 0, comb(hits + more, more)  # the term of j = more
    for most in range(more, 0, -1):
        tail += term
        if UNLIKELY * tail >= whole:
            return most
        # The next term down, exactly: C(h+j-1, j-1) = C(h+j, j) j/(h+j), C(m+i+1, i+1) = C(m+i, i) (m+i+1)/(i+1).
        other = more - most
        term = term * most * (misses + other + 1) // ((hits + most) * (other + 1))
    return 0
