"""The canary bench: how often the guardrail stops a harmful candidate, and how often a harmless one.

No model and no clock. Canaries are few enough to ask `judge_canary` after every single outcome.
"""

from collections.abc import Sequence
from typing import Any

from benchmarks.measurement import Measurement, at_least, at_most
from benchmarks.walks import import_numpy
from promotion.gate.harm import MIN_OBSERVATIONS, WATCH_FACTOR, CanaryVerdict, judge_canary

BASELINE_RATES = (0.5, 0.6, 0.7, 0.9)
CANARY_SHARE = 0.3
HARM = 0.2
WATCH_OBSERVATIONS = WATCH_FACTOR * MIN_OBSERVATIONS


def measure_canary_harm(*, seed: int, canaries: int, bound: float = 0.90, share: float = CANARY_SHARE) -> Measurement:
    """The share of canaries 20 points worse that are aborted within 60 observations of the candidate.

    The figure is the smallest over several baseline rates.
    """
    figures = _aborted_shares(seed=seed, deficit=HARM, canaries=canaries, share=share)
    return at_least(
        f"A canary 20 points worse is aborted within {WATCH_OBSERVATIONS} observations of its own",
        min(figures),
        bound,
        "share of canaries, at least",
        _describe_canaries(figures, canaries, share),
    )


def measure_canary_false_aborts(
    *, seed: int, canaries: int, bound: float = 0.25, share: float = CANARY_SHARE
) -> Measurement:
    """The price of that: the share of canaries equal to their baseline that are aborted all the same."""
    figures = _aborted_shares(seed=seed, deficit=0.0, canaries=canaries, share=share)
    return at_most(
        "A canary equal to its baseline is aborted",
        max(figures),
        bound,
        "share of canaries, at most",
        _describe_canaries(figures, canaries, share),
    )


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


def _aborted_shares(*, seed: int, deficit: float, canaries: int, share: float) -> list[float]:
    rng = import_numpy().random.default_rng(seed)
    pairs = [(rate, rate - deficit) for rate in BASELINE_RATES]
    return [
        simulate_canaries(baseline_rate=b, candidate_rate=c, canaries=canaries, share=share, rng=rng) for b, c in pairs
    ]


def _describe_canaries(figures: Sequence[float], canaries: int, share: float) -> str:
    by_rate = ", ".join(f"{b:.0%}: {end:.1%}" for b, end in zip(BASELINE_RATES, figures, strict=True))
    return (
        f"{canaries} canaries per baseline rate, {share:.0%} of the traffic to the candidate, a look after "
        f"every outcome, at most {WATCH_OBSERVATIONS} observations of the candidate and about "
        f"{WATCH_OBSERVATIONS * (1 - share) / share:.0f} of the baseline; by baseline rate: {by_rate}; "
        "the figure is the worst"
    )
