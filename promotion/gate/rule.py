"""The gate decides whether a candidate may go to canary.

Both arms do the same frozen held-out tasks. A pair in which both succeed or both fail is a tie and says
nothing. A pair that only the candidate solves is a win, one that only the baseline solves is a loss.

The evidence is an e-value (a test martingale): under "the candidate is not better" its expectation never
grows, so by Ville's inequality P(it ever reaches 1/alpha) <= alpha, however often it is checked. Everything here
is pure: no clock, no store, no randomness.

Sources: J. Ville, Étude critique de la notion de collectif (1939); G. Shafer, Testing by betting (2021);
A. Ramdas and others, Game-theoretic statistics and safe anytime-valid inference (2023).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

WORSE_ALPHA = 0.05
MAX_ERROR_SHARE = 0.1


class Verdict(StrEnum):
    """What the evidence allows. PENDING continues the evaluation; the other four close it."""

    PROMOTE = "promote"  # to canary, never straight to live
    REJECT = "reject"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"  # counts neither for nor against the tag
    PENDING = "pending"  # undecided so far


class PairResult(StrEnum):
    """What one pair says, from the candidate's side."""

    WIN = "win"
    LOSS = "loss"
    TIE = "tie"
    INVALID = "invalid"


class ArmResult(Protocol):
    """One tag on one task: did it succeed, and could it be asked at all?"""

    @property
    def success(self) -> bool: ...

    @property
    def invalid(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Evidence:
    """Pairs that both arms finished, counted from the candidate's side."""

    wins: int = 0
    losses: int = 0
    ties: int = 0

    def __post_init__(self) -> None:
        if min(self.wins, self.losses, self.ties) < 0:
            raise ValueError("Wins, losses and ties cannot be negative.")

    @property
    def pairs(self) -> int:
        """Finished pairs, ties included."""
        return self.wins + self.losses + self.ties

    @property
    def score(self) -> str:
        """The evidence in words: "7 wins, 0 losses, 12 ties"."""
        return f"{_count(self.wins, 'win')}, {_count(self.losses, 'loss')}, {_count(self.ties, 'tie')}"


@dataclass(frozen=True, slots=True)
class ArmErrors:
    """Pairs lost to a technical error (model gone, worker lost, time out), by arm.

    A pair with an error in an arm is no evidence. A pair in which both arms erred counts in both.
    """

    candidate: int = 0
    baseline: int = 0

    def __post_init__(self) -> None:
        if min(self.candidate, self.baseline) < 0:
            raise ValueError("Errors cannot be negative.")


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with the figures it rests on.

    `e_value` speaks for "better", `e_worse` for "worse"; `threshold` is 1/alpha; `wins_needed` is how many
    wins in a row would promote; `pairs_left` is what remains of the budget; `reason` is one sentence.
    """

    verdict: Verdict
    e_value: float
    e_worse: float
    threshold: float
    wins_needed: int
    pairs_left: int
    reason: str


@lru_cache(maxsize=65_536)
def _e_ratio(wins: int, losses: int) -> tuple[int, int]:
    """E(w, l) as an exact fraction.

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
    return total, tosses * math.comb(tosses - 1, wins)


def log_e_value(wins: int, losses: int) -> float:
    """Natural logarithm of `e_value`; finite for any number of pairs. ValueError on a negative count."""
    above, below = _e_ratio(wins, losses)
    return math.log(above) - math.log(below)


def e_value(wins: int, losses: int) -> float:
    """Evidence against "not better": the uniform mixture over p in [1/2, 1] of the likelihood ratio to 1/2.

    E(w, l) = 2^(w+l) * 2 * integral_{1/2}^{1} p^w (1-p)^l dp. Starts at 1. Computed exactly and rounded once;
    `math.inf` past the largest float. ValueError on a negative count.
    """
    above, below = _e_ratio(wins, losses)
    try:
        return above / below
    except OverflowError:
        return math.inf


def e_value_worse(wins: int, losses: int) -> float:
    """Evidence against "not worse": the mirror image of `e_value`."""
    return e_value(losses, wins)


@lru_cache(maxsize=65_536)
def wins_needed(wins: int, losses: int, alpha: float) -> int:
    """The smallest k for which k more wins in a row bring the e-value to 1/alpha; 0 when it is there.

    ValueError on a negative count or an alpha outside (0, 1).
    """
    threshold = _threshold(alpha)
    if e_value(wins, losses) >= threshold:
        return 0
    # A win never lowers the e-value, so the crossing can be bracketed and halved.
    short, enough = 0, 1
    while e_value(wins + enough, losses) < threshold:
        short, enough = enough, enough * 2
    while enough - short > 1:
        middle = (short + enough) // 2
        if e_value(wins + middle, losses) < threshold:
            short = middle
        else:
            enough = middle
    return enough


def judge_pair(*, candidate: ArmResult, baseline: ArmResult) -> PairResult:
    """Only a pair whose arms differ carries evidence; an arm that could not be asked carries none."""
    if candidate.invalid or baseline.invalid:
        return PairResult.INVALID
    if candidate.success == baseline.success:
        return PairResult.TIE
    return PairResult.WIN if candidate.success else PairResult.LOSS


def evidence_curve(outcomes: Sequence[int]) -> list[float]:
    """The e-value after each pair, for the chart.

    `outcomes` holds one number per finished pair in order: above 0 a win, below 0 a loss, 0 a tie.
    """
    curve = []
    wins = losses = 0
    for outcome in outcomes:
        wins += outcome > 0
        losses += outcome < 0
        curve.append(e_value(wins, losses))
    return curve


def unbiased_window_rate(successes: int, attempts: int) -> float | None:
    """The success rate of a window that was closed by its last success: (s-1)/(n-1).

    s/n is too high, for the window always ends on a success (Haldane 1945, inverse sampling).
    None when one attempt or none leaves nothing to estimate from. ValueError when s and n do not fit.
    """
    if not 0 <= successes <= attempts:
        raise ValueError(f"{successes} successes do not fit into {attempts} attempts.")
    if successes < 1 or attempts < 2:
        return None
    return (successes - 1) / (attempts - 1)


def decide(
    *,
    evidence: Evidence,
    pair_budget: int,
    pairs_done: int,
    alpha: float,
    errors: ArmErrors | None = None,
    worse_alpha: float = WORSE_ALPHA,
    max_error_share: float = MAX_ERROR_SHARE,
    changed: Sequence[str] = (),
) -> Decision:
    """Judge one evaluation as it stands. May be asked after every pair.

    `pair_budget` is the most pairs this evaluation may do and `pairs_done` the pairs tried, erred ones
    included. `alpha` is this candidate's share of the lifetime budget, fixed before its first pair;
    `worse_alpha` is the level for "worse", which spends none of that budget. `max_error_share` bounds the
    pairs an arm may lose to errors, as a share of the budget: a count that only grows, so that the verdict
    cannot come and go. `changed` names what moved during the evaluation (a setting, the memory, ...).

    The rules, first match wins:
    1. invalid: something changed, or an arm lost more pairs to errors than allowed;
    2. promote: E >= 1/alpha;
    3. reject: the mirrored e-value >= 1/worse_alpha;
    4. invalid: even a clean sweep of the whole budget could not promote, or the budget is spent unmeasured;
    5. inconclusive: the budget is spent; the reason says how many more wins would decide;
    6. out of reach with pairs still left: invalid when the pairs lost to errors could have made up for it,
       otherwise reject;
    7. pending.

    ValueError when the counts contradict each other or a level lies outside (0, 1).
    """
    errors = errors or ArmErrors()
    _check_counts(evidence, pair_budget, pairs_done, errors)
    threshold = _threshold(alpha)
    better = e_value(evidence.wins, evidence.losses)
    worse = e_value_worse(evidence.wins, evidence.losses)
    needed = wins_needed(evidence.wins, evidence.losses, alpha)
    left = pair_budget - pairs_done
    lost = pairs_done - evidence.pairs
    bar = f"e-value {format_e_value(better)} of {format_e_value(threshold)} needed"
    more = f"{_count(needed, 'more win')} would decide"

    def close(verdict: Verdict, reason: str) -> Decision:
        return Decision(verdict, better, worse, threshold, needed, left, reason)

    if flaw := _find_flaw(changed, errors, math.floor(max_error_share * pair_budget), pair_budget):
        return close(Verdict.INVALID, flaw)
    if needed == 0:
        return close(Verdict.PROMOTE, f"Better: {evidence.score}, {bar}.")
    if worse >= _threshold(worse_alpha):
        bar = f"e-value for worse {format_e_value(worse)} of {format_e_value(_threshold(worse_alpha))} needed"
        return close(Verdict.REJECT, f"Worse: {evidence.score}, {bar}.")
    if futile := _find_futility(evidence, pair_budget, left, alpha):
        return close(Verdict.INVALID, futile)
    if left == 0:
        text = f"All {_count(pair_budget, 'pair')} are spent with {evidence.score}, {bar}; {more}."
        return close(Verdict.INCONCLUSIVE, text)
    if needed > left + lost:
        text = f"Out of reach: {evidence.score}; {more}, {_count(left, 'pair')} of {pair_budget} left."
        return close(Verdict.REJECT, text)
    if needed > left:
        text = f"Errors took pairs that could have decided: {_count(lost, 'pair')} lost; {more}, {left} left."
        return close(Verdict.INVALID, text)
    rest = f"{more}, {_count(left, 'pair')} of {pair_budget} left"
    return close(Verdict.PENDING, f"Undecided so far: {evidence.score}, {bar}; {rest}.")


def format_e_value(value: float) -> str:
    """An e-value for a sentence: two decimals below 10, one below 1,000, whole to a million, then powers."""
    if value < 10:
        return f"{value:.2f}"
    if value < 1_000:
        return f"{value:.1f}"
    return f"{value:,.0f}" if value < 1_000_000 else f"{value:.1e}"


def _find_flaw(changed: Sequence[str], errors: ArmErrors, allowed: int, pair_budget: int) -> str | None:
    """Why the measurement itself cannot be trusted, whatever its result."""
    if changed:
        return f"Changed during the evaluation: {', '.join(changed)}."
    for arm, count in (("candidate", errors.candidate), ("baseline", errors.baseline)):
        if count > allowed:
            took = f"Errors took {_count(count, 'pair')} from the {arm}'s arm"
            return f"{took}, {allowed} of {pair_budget} allowed."
    return None


def _find_futility(evidence: Evidence, pair_budget: int, left: int, alpha: float) -> str | None:
    """Why this evaluation could never tell anything about the candidate."""
    least = wins_needed(0, 0, alpha)
    if least > pair_budget:
        asked = f"the {_count(least, 'win')} that alpha {alpha:.2g} asks"
        return f"No verdict is possible: {_count(pair_budget, 'pair')} cannot hold {asked}."
    if left == 0 and evidence.pairs == 0:
        return f"Nothing was measured in {_count(pair_budget, 'pair')}."
    return None


def _check_counts(evidence: Evidence, pair_budget: int, pairs_done: int, errors: ArmErrors) -> None:
    if pair_budget < 1:
        raise ValueError("The pair budget must be at least 1.")
    if not evidence.pairs <= pairs_done <= pair_budget:
        counts = f"{evidence.pairs} pairs finished, {pairs_done} tried, a budget of {pair_budget}"
        raise ValueError(f"These counts contradict each other: {counts}.")
    lost = pairs_done - evidence.pairs
    if max(errors.candidate, errors.baseline) > lost:
        raise ValueError(f"Only {_count(lost, 'pair')} brought no evidence, fewer than the errors reported.")


def _threshold(alpha: float) -> float:
    if not 0 < alpha < 1:
        raise ValueError(f"Alpha must lie between 0 and 1, not {alpha}.")
    return 1 / alpha


def _count(number: int, noun: str) -> str:
    """ "1 win", "2 wins", "2 losses"."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}es" if noun.endswith("ss") else f"{number} {noun}s"
