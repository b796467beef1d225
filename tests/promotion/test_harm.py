import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom

from promotion.gate.harm import THRESHOLD, Arm, CanaryVerdict, _log_best_harmless, e_harm, judge_canary


@st.composite
def arms(draw) -> tuple[int, int]:
    observations = draw(st.integers(0, 120))
    return draw(st.integers(0, observations)), observations


def test_a_canary_without_observations_is_pending_with_no_evidence():
    decision = judge_canary(candidate=(0, 0), baseline=(0, 0))
    assert decision.verdict is CanaryVerdict.PENDING
    assert decision.e_harm == pytest.approx(1)
    assert decision.reason == "Collecting: candidate 0 of 0, baseline 0 of 0, 20 needed in each."


def test_a_collapse_is_aborted_after_a_handful_of_runs():
    decision = judge_canary(candidate=(0, 6), baseline=(20, 24))
    assert decision.verdict is CanaryVerdict.ABORT
    assert decision.e_harm >= THRESHOLD == 10
    assert decision.reason.startswith("Harm: candidate 0 of 6, baseline 20 of 24, e-value ")


def test_an_equal_candidate_passes_at_the_minimum_and_not_before():
    assert judge_canary(candidate=(15, 19), baseline=(60, 80)).verdict is CanaryVerdict.PENDING
    assert judge_canary(candidate=(16, 20), baseline=(16, 19)).verdict is CanaryVerdict.PENDING
    decision = judge_canary(candidate=(15, 20), baseline=(60, 80))
    assert decision.verdict is CanaryVerdict.PASS
    assert decision.reason == "No harm found: candidate 15 of 20, baseline 60 of 80."


def test_a_candidate_that_trails_is_watched_on():
    decision = judge_canary(candidate=(14, 20), baseline=(72, 80))
    assert decision.verdict is CanaryVerdict.PENDING
    assert decision.reason.startswith("Watching on: ")
    assert decision.reason.endswith("20.0 points behind, no proof of harm; 40 candidate runs to go.")


def test_passing_is_asked_at_every_full_minimum_only():
    assert judge_canary(candidate=(30, 30), baseline=(80, 100)).verdict is CanaryVerdict.PENDING
    assert judge_canary(candidate=(40, 40), baseline=(80, 100)).verdict is CanaryVerdict.PASS


@pytest.mark.parametrize(("successes", "verdict"), [(51, CanaryVerdict.PASS), (50, CanaryVerdict.ABORT)])
def test_at_the_end_of_the_watch_the_tolerance_decides(successes, verdict):
    decision = judge_canary(candidate=(successes, 60), baseline=(216, 240))
    assert decision.verdict is verdict
    if verdict is CanaryVerdict.ABORT:
        assert decision.reason.startswith("Harm not ruled out after 60 observations: ")


def test_the_watch_is_three_times_the_minimum():
    assert judge_canary(candidate=(180, 239), baseline=(270, 300), min_observations=80).verdict is CanaryVerdict.PENDING
    decision = judge_canary(candidate=(181, 240), baseline=(243, 300), min_observations=80)
    assert decision.reason.startswith("Harm not ruled out after 240 observations: ")


def test_no_traffic_by_the_deadline_is_a_failure():
    early = judge_canary(candidate=(3, 3), baseline=(9, 9), elapsed_s=59, deadline_s=60)
    late = judge_canary(candidate=(3, 3), baseline=(9, 9), elapsed_s=60, deadline_s=60)
    assert early.verdict is CanaryVerdict.PENDING
    assert late.verdict is CanaryVerdict.ABORT
    assert late.reason.startswith("Too little traffic by the deadline: ")
    assert late.reason.endswith("20 needed in each; no data is never a pass.")


def test_a_deadline_during_the_watch_passes_only_a_candidate_that_does_no_worse():
    settings = {"elapsed_s": 60, "deadline_s": 60}
    assert judge_canary(candidate=(27, 30), baseline=(90, 100), **settings).verdict is CanaryVerdict.PASS
    behind = judge_canary(candidate=(26, 30), baseline=(90, 100), **settings)
    assert behind.verdict is CanaryVerdict.ABORT
    assert behind.reason.startswith("Harm not ruled out at the deadline: ")


@pytest.mark.parametrize("kind", ["errors", "timeouts"])
def test_too_many_errors_or_timeouts_abort_even_before_the_minimum(kind):
    allowed = judge_canary(candidate=(5, 10), baseline=(20, 40), **{kind: 4})
    beyond = judge_canary(candidate=(5, 10), baseline=(20, 40), **{kind: 5})
    assert allowed.verdict is CanaryVerdict.PENDING
    assert beyond.verdict is CanaryVerdict.ABORT
    assert beyond.reason == f"Too many {kind}: 5 in 10 candidate runs, 4 allowed."


@pytest.mark.parametrize(
    "arguments",
    [
        {"candidate": (3, 2)},
        {"candidate": (-1, 2)},
        {"candidate": (1, 2), "errors": 2},
        {"candidate": (0, 2), "errors": -1},
        {"candidate": (1, 2), "min_observations": 0},
    ],
)
def test_contradicting_counts_and_settings_are_refused(arguments):
    with pytest.raises(ValueError, match=r".+"):
        judge_canary(**{"baseline": (5, 9)} | arguments)


@given(candidate=arms(), baseline=arms())
def test_the_best_harmless_pair_is_the_maximum_that_scipy_finds(candidate, baseline):
    ours, theirs = Arm(*candidate), Arm(*baseline)

    def cost(b: float) -> float:
        # Within the tolerance the best candidate rate is its own rate, kept above the border.
        c = max(ours.successes / ours.observations if ours.observations else 0.0, b - 0.05)
        return -(binom.logpmf(*theirs, b) + binom.logpmf(*ours, c)) if 0 <= c <= 1 else 1e9

    found = minimize_scalar(cost, bounds=(0, 1), method="bounded", options={"xatol": 1e-10})
    coefficients = binom.logpmf(*theirs, 0.5) + binom.logpmf(*ours, 0.5)
    coefficients += (ours.observations + theirs.observations) * 0.6931471805599453
    best = _log_best_harmless(ours, theirs) + coefficients
    assert best >= -found.fun - 1e-6


NEVER_IN = 20


@given(candidate=arms(), baseline=arms())
def test_a_further_failure_never_takes_back_evidence_of_harm(candidate, baseline):
    successes, observations = candidate
    before = e_harm(candidate=candidate, baseline=baseline)
    # A mixture over rates of at least one per cent fits a hopeless candidate ever worse: below 1 there is no evidence,
    # and one that never succeeds in dozens of runs may lose some (1 of 48 against 1 of 1: 1.35, then 1.34).
    if successes and before >= 1 and (successes > 1 or observations < NEVER_IN):
        assert e_harm(candidate=(successes - 1, observations), baseline=baseline) >= before * (1 - 1e-9)


@pytest.mark.parametrize("rates", [(0.9, 0.85), (0.5, 0.45), (0.3, 0.3), (1.0, 0.95)])
def test_the_expected_evidence_against_a_harmless_candidate_is_at_most_one(rates):
    baseline_rate, candidate_rate = rates
    ours, theirs = 12, 30
    expected = sum(
        binom.pmf(won, ours, candidate_rate)
        * binom.pmf(base_won, theirs, baseline_rate)
        * e_harm(candidate=(won, ours), baseline=(base_won, theirs))
        for won, base_won in itertools.product(range(ours + 1), range(theirs + 1))
    )
    assert 0 < expected <= 1
