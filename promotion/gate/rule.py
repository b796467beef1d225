"""The gate decides whether a candidate may go to canary.

Both arms do the same frozen held-out tasks. A pair that only the candidate solves is a win, one that only the baseline
solves is a loss; a pair in which both succeed or both fail is a tie. Two hypotheses are declared before the first
pair, and nothing else is looked at to promote:
- *better*: more wins than losses (`e_values.py`);
- *not worse and cheaper*: no loss of success beyond the tolerance, and fewer controller calls where both succeed
  (`cheaper.py`).

Each is judged at its own part of the candidate's alpha, so that the chance to promote a candidate for which neither is
true is at most alpha, however often the gate is asked. Everything here is pure: no clock, no store, no randomness.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from promotion.gate.cheaper import e_not_worse, ties_needed
from promotion.gate.e_values import e_value, e_value_worse, format_e_value, read_threshold, wins_needed
from promotion.gate.error_budget import Levels, split_alpha
from promotion.gate.pairs import ArmErrors, Evidence, say_count
from promotion.gate.reach import find_likely_room, find_room

# The level for "worse", which spends none of the lifetime budget.
WORSE_ALPHA = 0.05
# The pairs that an arm may lose to errors, as a share of the budget: a count that only grows, so that the verdict
# cannot come and go.
MAX_ERROR_SHARE = 0.1


class Verdict(StrEnum):
    """What the evidence allows. PENDING continues the evaluation; the other four close it."""

    PROMOTE = "promote"  # to canary, never straight to live
    REJECT = "reject"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"  # counts neither for nor against the tag
    PENDING = "pending"  # undecided so far


class Hypothesis(StrEnum):
    """Why a candidate may be promoted; NONE while none holds."""

    NONE = ""
    BETTER = "better"
    CHEAPER = "cheaper"


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with the figures it rests on.

    `e_value` speaks for "better" and must reach `threshold`; `e_not_worse` and `e_fewer_calls` must both reach
    `threshold_cheaper`; `e_worse` speaks for "worse". `wins_needed`, `calls_needed` and `ties_needed` say how many more
    wins, pairs with fewer calls and pairs without a loss these three would take in a row; 0 when they are there.
    `hypothesis` is the one that promoted; `pairs_left` is what remains of the budget; `reason` is one sentence.
    """

    verdict: Verdict
    hypothesis: Hypothesis
    e_value: float
    e_worse: float
    e_not_worse: float
    e_fewer_calls: float
    threshold: float
    threshold_cheaper: float
    wins_needed: int
    calls_needed: int
    ties_needed: int
    pairs_left: int
    reason: str

    @property
    def e_cheaper(self) -> float:
        """The e-value of "not worse and cheaper": the smaller of its two."""
        return min(self.e_not_worse, self.e_fewer_calls)

    @property
    def missing(self) -> str:
        """What is still missing for a promotion, in one sentence."""
        row = " in a row" if self.wins_needed > 1 else ""
        better = f"{say_count(self.wins_needed, 'more win')}{row} would promote it as better"
        left = f"{say_count(self.pairs_left, 'pair')} {'is' if self.pairs_left == 1 else 'are'} left"
        return f"{better}, {_say_cheaper(self)} as not worse and cheaper; {left}."


def decide(
    *,
    evidence: Evidence,
    pair_budget: int,
    pairs_done: int,
    alpha: float,
    errors: ArmErrors | None = None,
    changed: Sequence[str] = (),
) -> Decision:
    """Judge one evaluation as it stands. May be asked after every pair.

    `pair_budget` is the most pairs this evaluation may do and `pairs_done` the pairs tried, erred ones
    included. `alpha` is this candidate's share of the lifetime budget, fixed before its first pair. `changed`
    names what moved during the evaluation (a setting, the memory, ...).

    The rules, first match wins:
    1. invalid: something changed, or an arm lost more pairs to errors than allowed;
    2. promote as better: its e-value reached its threshold;
    3. reject: the e-value for "worse" >= 1/WORSE_ALPHA, which refutes both hypotheses;
    4. promote as not worse and cheaper: both of its e-values reached its threshold;
    5. invalid: even a clean sweep of the whole budget could promote by neither, or the budget is spent unmeasured;
    6. inconclusive: the budget is spent; the reason says what would decide;
    7. reject: both hypotheses are out of reach, even with the pairs that were lost to errors;
    8. invalid: they are out of reach without those;
    9. reject: neither is likely any more, by the rates so far (`reach.py`);
    10. pending.

    ValueError when the counts contradict each other or a level lies outside (0, 1).
    """
    errors = errors or ArmErrors()
    _check_counts(evidence, pair_budget, pairs_done, errors)
    left, lost = pair_budget - pairs_done, pairs_done - evidence.pairs
    levels = split_alpha(alpha)
    look = _take_look(evidence, levels, left=left)
    score = f"{evidence.score}; {evidence.calls}"
    more = f"{say_count(look.wins_needed, 'more win')}, or {_say_cheaper(look)}, would decide"
    better = f"e-value {format_e_value(look.e_value)} of {format_e_value(look.threshold)} needed"
    cheaper = _say_cheaper_bar(look)
    bars = f"{evidence.score}, {better}; {evidence.calls}, {cheaper}"
    rest = f"{say_count(left, 'pair')} of {pair_budget} left"

    def close(verdict: Verdict, reason: str, hypothesis: Hypothesis = Hypothesis.NONE) -> Decision:
        return replace(look, verdict=verdict, hypothesis=hypothesis, reason=reason)

    if flaw := _find_flaw(changed, errors, math.floor(MAX_ERROR_SHARE * pair_budget), pair_budget):
        return close(Verdict.INVALID, flaw)
    if look.e_value >= look.threshold:
        return close(Verdict.PROMOTE, f"Better: {evidence.score}, {better}.", Hypothesis.BETTER)
    if look.e_worse >= (bar := read_threshold(WORSE_ALPHA)):
        text = f"e-value for worse {format_e_value(look.e_worse)} of {format_e_value(bar)} needed"
        return close(Verdict.REJECT, f"Worse: {evidence.score}, {text}.")
    if look.e_cheaper >= look.threshold_cheaper:
        return close(Verdict.PROMOTE, f"Not worse and cheaper: {score}, {cheaper}.", Hypothesis.CHEAPER)
    if futile := _find_futility(evidence, pair_budget, left, levels):
        return close(Verdict.INVALID, futile)
    if left == 0:
        return close(Verdict.INCONCLUSIVE, f"All {say_count(pair_budget, 'pair')} are spent: {bars}; {more}.")
    if given_up := _give_up(evidence, levels, left=left, lost=lost):
        verdict, why = given_up
        return close(verdict, f"{why}; {more}; {rest}.")
    return close(Verdict.PENDING, f"Undecided so far: {bars}; {rest}.")


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


def _take_look(evidence: Evidence, levels: Levels, *, left: int) -> Decision:
    """The figures of a decision, without a verdict yet."""
    wins, losses, ties = evidence.wins, evidence.losses, evidence.ties
    return Decision(
        verdict=Verdict.PENDING,
        hypothesis=Hypothesis.NONE,
        e_value=e_value(wins, losses),
        e_worse=e_value_worse(wins, losses),
        e_not_worse=e_not_worse(wins, losses, ties),
        e_fewer_calls=e_value(evidence.fewer_calls, evidence.more_calls),
        threshold=read_threshold(levels.better),
        threshold_cheaper=read_threshold(levels.cheaper),
        wins_needed=wins_needed(wins, losses, levels.better),
        calls_needed=wins_needed(evidence.fewer_calls, evidence.more_calls, levels.cheaper),
        ties_needed=ties_needed(wins, losses, ties, levels.cheaper),
        pairs_left=left,
        reason="",
    )


def _find_flaw(changed: Sequence[str], errors: ArmErrors, allowed: int, pair_budget: int) -> str | None:
    """Why the measurement itself cannot be trusted, whatever its result."""
    if changed:
        return f"Changed during the evaluation: {', '.join(changed)}."
    for arm, count in (("candidate", errors.candidate), ("baseline", errors.baseline)):
        if count > allowed:
            took = f"Errors took {say_count(count, 'pair')} from the {arm}'s arm"
            return f"{took}, {allowed} of {pair_budget} allowed."
    return None


def _find_futility(evidence: Evidence, pair_budget: int, left: int, levels: Levels) -> str | None:
    """Why this evaluation could never tell anything about the candidate."""
    if not find_room(pair_budget).holds(Evidence(), levels=levels):
        # A clean sweep of wins takes fewer pairs than the other hypothesis ever could.
        asked = f"the {say_count(wins_needed(0, 0, levels.better), 'win')} that alpha {levels.better:.2g} asks"
        return f"No verdict is possible: {say_count(pair_budget, 'pair')} cannot hold {asked}."
    if left == 0 and evidence.pairs == 0:
        return f"Nothing was measured in {say_count(pair_budget, 'pair')}."
    return None


def _give_up(evidence: Evidence, levels: Levels, *, left: int, lost: int) -> tuple[Verdict, str] | None:
    """Why no hypothesis can come true, or is likely to, in the pairs that are left; `lost` ones went to errors."""
    score = f"{evidence.score}; {evidence.calls}"
    if not find_room(left + lost).holds(evidence, levels=levels):
        return Verdict.REJECT, f"Out of reach: {score}"
    if not find_room(left).holds(evidence, levels=levels):
        return Verdict.INVALID, f"Errors took pairs that could have decided: {say_count(lost, 'pair')} lost"
    likely = find_likely_room(evidence, pairs=left + lost)
    if not likely.holds(evidence, levels=levels):
        most = f"at most {say_count(likely.wins, 'more win')} and {likely.fewer_calls} more with fewer calls are likely"
        return Verdict.REJECT, f"Unlikely to be promoted: {score}; {most}"
    return None


def _check_counts(evidence: Evidence, pair_budget: int, pairs_done: int, errors: ArmErrors) -> None:
    if pair_budget < 1:
        raise ValueError("The pair budget must be at least 1.")
    if not evidence.pairs <= pairs_done <= pair_budget:
        counts = f"{evidence.pairs} pairs finished, {pairs_done} tried, a budget of {pair_budget}"
        raise ValueError(f"These counts contradict each other: {counts}.")
    lost = pairs_done - evidence.pairs
    if max(errors.candidate, errors.baseline) > lost:
        raise ValueError(f"Only {say_count(lost, 'pair')} brought no evidence, fewer than the errors reported.")


def _say_cheaper_bar(look: Decision) -> str:
    not_worse, fewer, bar = map(format_e_value, (look.e_not_worse, look.e_fewer_calls, look.threshold_cheaper))
    return f"e-values {not_worse} for not worse and {fewer} for cheaper, both of {bar} needed"


def _say_cheaper(look: Decision) -> str:
    """ "40 more pairs without a loss, 3 of them with fewer calls": a pair with fewer calls is one without a loss."""
    if look.calls_needed >= look.ties_needed:
        return f"{say_count(look.calls_needed, 'more pair')} with fewer calls"
    cheaper = f", {look.calls_needed} of them with fewer calls" if look.calls_needed else ""
    return f"{say_count(look.ties_needed, 'more pair')} without a loss{cheaper}"
