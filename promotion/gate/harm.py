"""The canary's guardrail stops a candidate that does harm on real traffic.

A canary ends in one of three ways:
- abort at once, when an e-process says that the candidate is worse than the baseline by more than the
  tolerance, or when errors, timeouts or missing traffic say that it cannot be judged well;
- pass, with the minimum observations in both arms, when the candidate does no worse than the baseline. This
  is asked at every full minimum of the candidate's own (20, 40, ...) and not in between: each further look
  would be another chance for a harmful candidate to pass by luck;
- otherwise watch on. A candidate that trails the baseline has shown no proof of harm, and no absence of it
  either. From three times the minimum of its own on it passes when it trails by no more than the tolerance;
  else abort.

Why the watch: the e-process alone cannot stop a fall of 20 points in time. Against "no worse than 5 points
below", at level 0.1, even a test that looks only once, after 60 candidate and 240 baseline outcomes, finds
80 to 89 of 100 such falls (from 70 % and from 90 %); this e-process, which may be looked at after every
outcome, finds 16 to 24. So the e-process carries the guarantee (P(abort for harm) <= alpha within the
tolerance) and stops a collapse after a handful of runs; the watch carries the power. `benchmarks/canaries.py` measures
both together, and what they cost: how often a candidate equal to its baseline is aborted.

The counts alone decide, so the order in which outcomes arrive does not matter. The arms must have been drawn
at random, independently of what the runs would yield.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

TOLERANCE = 0.05
# 1/alpha: P(a candidate within the tolerance is ever aborted for harm) <= 10 %.
THRESHOLD = 10.0
MIN_OBSERVATIONS = 20
MAX_FAULT_SHARE = 0.2
# The guardrail watches the candidate's arm for up to three times the minimum (docs/decisions/0009).
WATCH_FACTOR = 3
TIMEOUTS = ("timeout",)
ERRORS = ("model_unavailable", "model_invalid", "internal_error")

_BASELINE_RATES = tuple((i + 0.5) / 25 for i in range(25))
_EXTRA_DEFICITS = (0.15, 0.25, 0.4, 0.6)
_LEAST_RATE = 0.01
_HARMFUL = [(b, max(b - TOLERANCE - extra, _LEAST_RATE)) for b in _BASELINE_RATES for extra in _EXTRA_DEFICITS]
# Logarithms of (b, 1-b, c, 1-c) for the harmful pairs of rates: baseline b, candidate c.
_ALTERNATIVES = [(math.log(b), math.log(1 - b), math.log(c), math.log(1 - c)) for b, c in _HARMFUL]
_ROUNDING = 1e-9  # 0.90 - 0.85 is a little more than 0.05 in floats


class CanaryVerdict(StrEnum):
    """PENDING continues the canary; PASS allows the live apply; ABORT ends the canary."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    ABORT = "abort"
    PENDING = "pending"


class Arm(NamedTuple):
    """One arm's finished runs. A run that ended in an error or a timeout is an observation, not a success."""

    successes: int
    observations: int

    @property
    def score(self) -> str:
        """ "14 of 20"."""
        return f"{self.successes} of {self.observations}"


@dataclass(frozen=True, slots=True)
class CanaryDecision:
    """A verdict with its e-value, which speaks for "worse by more than the tolerance"."""

    verdict: CanaryVerdict
    e_harm: float
    reason: str


@lru_cache(maxsize=65_536)
def e_harm(*, candidate: tuple[int, int], baseline: tuple[int, int]) -> float:
    """Evidence against "candidate rate >= baseline rate - tolerance", from (successes, observations) per arm.

    Universal inference (Wasserman, Ramdas and Balakrishnan, PNAS 2020) with a mixture for the alternative:
    E = average over harmful pairs of rates of L(pair) / max over harmless pairs of L(pair), L the product
    of two Bernoulli likelihoods. For each harmless pair the ratio is at most a test martingale, so
    P(E ever reaches 1/alpha) <= alpha under any of them. The mixture is uniform over baseline rates and over
    deficits of 15, 25, 40 and 60 points beyond the tolerance. 1.0 while nothing was observed; ValueError on
    counts that do not fit.
    """
    ours, theirs = _check_arm("candidate", candidate), _check_arm("baseline", baseline)
    won, lost = ours.successes, ours.observations - ours.successes
    base_won, base_lost = theirs.successes, theirs.observations - theirs.successes
    logs = [
        base_won * log_b + base_lost * log_not_b + won * log_c + lost * log_not_c
        for log_b, log_not_b, log_c, log_not_c in _ALTERNATIVES
    ]
    peak = max(logs)
    mixture = peak + math.log(sum([math.exp(value - peak) for value in logs]) / len(logs))
    return math.exp(min(mixture - _log_best_harmless(ours, theirs), 700.0))


def judge_canary(
    *,
    candidate: tuple[int, int],
    baseline: tuple[int, int],
    errors: int = 0,
    timeouts: int = 0,
    elapsed_s: float = 0.0,
    deadline_s: float | None = None,
    min_observations: int = MIN_OBSERVATIONS,
    changed: Sequence[str] = (),
) -> CanaryDecision:
    """Judge a canary with its outcomes so far. Call it after every outcome of either arm.

    A late call is safe: a missed chance to pass comes again at the next full minimum.

    `candidate` and `baseline` are (successes, observations). `errors` and `timeouts` say how many of the
    candidate's failures were of that kind; more than a fifth of its observations (of `min_observations` before
    there are so many) aborts. `elapsed_s` and `deadline_s` are seconds since the canary opened. `changed` names
    what changed since the evaluation: then the candidate was measured against something else, which aborts.

    ValueError when the counts contradict each other or the minimum is below 1.
    """
    ours, theirs = _check_arm("candidate", candidate), _check_arm("baseline", baseline)
    _check_faults(ours, errors, timeouts)
    if min_observations < 1:
        raise ValueError("The minimum observations must be at least 1.")
    evidence = e_harm(candidate=ours, baseline=theirs)
    fewest = min(ours.observations, theirs.observations)
    score = f"candidate {ours.score}, baseline {theirs.score}"
    late = deadline_s is not None and elapsed_s >= deadline_s
    allowed = MAX_FAULT_SHARE * max(ours.observations, min_observations)
    if flaw := _find_flaw(changed, ours, errors=errors, timeouts=timeouts, allowed=allowed):
        return CanaryDecision(CanaryVerdict.ABORT, evidence, flaw)
    if evidence >= THRESHOLD:
        return CanaryDecision(CanaryVerdict.ABORT, evidence, f"Harm: {score}, {_say_bar(evidence)}.")
    if fewest < min_observations:
        text = f"{score}, {min_observations} needed in each"
        if late:
            text = f"Too little traffic by the deadline: {text}; no data is never a pass."
            return CanaryDecision(CanaryVerdict.ABORT, evidence, text)
        return CanaryDecision(CanaryVerdict.PENDING, evidence, f"Collecting: {text}.")
    shortfall = _rate(theirs) - _rate(ours)
    to_go = WATCH_FACTOR * min_observations - ours.observations
    watched = to_go <= 0
    asked = watched or late or ours.observations % min_observations == 0
    if asked and shortfall <= (TOLERANCE if watched else 0.0) + _ROUNDING:
        return CanaryDecision(CanaryVerdict.PASS, evidence, f"No harm found: {score}.")
    behind = f"{score}, {_points(max(shortfall, 0.0))} behind"
    if watched or late:
        when = f"after {ours.observations} observations" if watched else "at the deadline"
        text = f"Harm not ruled out {when}: {behind}, {_points(TOLERANCE)} tolerated."
        return CanaryDecision(CanaryVerdict.ABORT, evidence, text)
    text = f"Watching on: {behind}, no proof of harm; {to_go} candidate runs to go."
    return CanaryDecision(CanaryVerdict.PENDING, evidence, text)


class WatchVerdict(StrEnum):
    """The result of the watch over a live apply."""

    HARM = "harm"
    CLEAR = "clear"
    SHORT = "short"  # the deadline came before there was enough to tell
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class WatchDecision:
    """A verdict with its e-value, which speaks for "the applied tag is worse by more than the tolerance"."""

    verdict: WatchVerdict
    e_harm: float
    reason: str


def judge_watch(
    *,
    applied: tuple[int, int],
    held: tuple[int, int],
    elapsed_s: float,
    deadline_s: float,
    wanted_observations: int,
) -> WatchDecision:
    """Judge the watch over a live apply with its outcomes so far. May be called after every outcome of either arm.

    `applied` and `held` are (successes, observations) of the applied tag and of the previous one, which was held
    back. Harm is found by the canary's own e-process, with its guarantee: P(an apply within the tolerance is ever
    found harmful) <= alpha. With `wanted_observations` in both arms and no harm found the watch is over.
    ValueError when the counts contradict each other or none are wanted.
    """
    ours, theirs = _check_arm("applied tag", applied), _check_arm("previous tag", held)
    if wanted_observations < 1:
        raise ValueError("The wanted observations must be at least 1.")
    evidence = e_harm(candidate=ours, baseline=theirs)
    score, bar = f"applied {ours.score}, held back {theirs.score}", _say_bar(evidence)
    if evidence >= THRESHOLD:
        return WatchDecision(WatchVerdict.HARM, evidence, f"Harm: {score}, {bar}.")
    if min(ours.observations, theirs.observations) >= wanted_observations:
        return WatchDecision(WatchVerdict.CLEAR, evidence, f"No harm found: {score}, {bar}.")
    wanted = f"{score}, {wanted_observations} wanted in each"
    if elapsed_s >= deadline_s:
        return WatchDecision(
            WatchVerdict.SHORT, evidence, f"Too little traffic by the deadline to tell: {wanted}, {bar}."
        )
    return WatchDecision(WatchVerdict.PENDING, evidence, f"Watching: {wanted}, {bar}.")


def _say_bar(evidence: float) -> str:
    return f"e-value {evidence:.3g} of {THRESHOLD:g} for more than {_points(TOLERANCE)} worse"


def _find_flaw(changed: Sequence[str], ours: Arm, *, errors: int, timeouts: int, allowed: float) -> str:
    """Why the trial ends, whatever its successes; empty when nothing is wrong."""
    if changed:
        return f"Changed since the evaluation: {', '.join(changed)}."
    for cause, count in (("errors", errors), ("timeouts", timeouts)):
        if count > allowed:
            return f"Too many {cause}: {count} in {ours.observations} candidate runs, {allowed:g} allowed."
    return ""


def _log_best_harmless(ours: Arm, theirs: Arm) -> float:
    """The largest log-likelihood that a pair of rates within the tolerance can give to the counts."""
    free_b, free_c = _rate(theirs), _rate(ours)
    if not ours.observations or not theirs.observations or free_c >= free_b - TOLERANCE:
        return _log_likelihood(theirs, free_b) + _log_likelihood(ours, free_c)
    # Otherwise the best pair lies on the border c = b - tolerance, where the log-likelihood is concave, and
    # between the two free optima. 25 halvings leave an error in b below 1e-7; its square is what counts.
    low, high = free_c + TOLERANCE, free_b
    b = (low + high) / 2
    for _ in range(25):
        if _slope(theirs, b) + _slope(ours, b - TOLERANCE) > 0:
            low = b
        else:
            high = b
        b = (low + high) / 2
    return _log_likelihood(theirs, b) + _log_likelihood(ours, b - TOLERANCE)


def _log_likelihood(arm: Arm, rate: float) -> float:
    lost = arm.observations - arm.successes
    won_part = arm.successes * math.log(rate) if arm.successes else 0.0
    return won_part + (lost * math.log1p(-rate) if lost else 0.0)


def _slope(arm: Arm, rate: float) -> float:
    """The derivative of the log-likelihood by the rate, for a rate strictly between 0 and 1."""
    return arm.successes / rate - (arm.observations - arm.successes) / (1 - rate)


def _rate(arm: Arm) -> float:
    return arm.successes / arm.observations if arm.observations else 0.0


def _check_arm(name: str, counts: tuple[int, int]) -> Arm:
    arm = Arm(*counts)
    if not 0 <= arm.successes <= arm.observations:
        raise ValueError(f"The {name}'s counts do not fit: {arm.successes} of {arm.observations}.")
    return arm


def _check_faults(arm: Arm, errors: int, timeouts: int) -> None:
    failures = arm.observations - arm.successes
    if min(errors, timeouts) < 0 or errors + timeouts > failures:
        raise ValueError(f"{errors} errors and {timeouts} timeouts do not fit into {failures} failures.")


def _points(rate: float) -> str:
    return f"{100 * rate:.1f} points"
