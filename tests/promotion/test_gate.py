import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import betainc, betaln

from promotion.gate.e_values import e_value, e_value_worse, wins_needed
from promotion.gate.pairs import ArmErrors, Evidence
from promotion.gate.reach import LEAST_PAIRS
from promotion.gate.rule import Decision, Hypothesis, Verdict, decide, unbiased_window_rate

CROSSINGS = [(7, 0), (10, 1), (12, 2), (14, 3), (16, 4), (18, 5)]
counts = st.integers(min_value=0, max_value=300)
# Two thirds of it are 0.05, the level for "better", with a bar of 20.
ALPHA = 0.075


def judge(wins: int, losses: int, ties: int = 0, **settings) -> Decision:
    evidence = Evidence(wins=wins, losses=losses, ties=ties)
    given_settings = {"pair_budget": 60, "pairs_done": evidence.pairs, "alpha": ALPHA} | settings
    return decide(evidence=evidence, **given_settings)


@pytest.mark.parametrize(("wins", "losses"), CROSSINGS)
def test_the_gate_opens_at_the_known_crossings_and_not_one_win_earlier(wins, losses):
    assert e_value(wins, losses) >= 20 > e_value(wins - 1, losses)
    assert wins_needed(0, losses, 0.05) == wins
    assert judge(wins, losses).verdict is Verdict.PROMOTE


@given(wins=counts, losses=counts)
def test_the_e_value_agrees_with_scipys_incomplete_beta_function(wins, losses):
    n = wins + losses
    upper_half = betainc(losses + 1, wins + 1, 0.5)  # 1 - I_1/2(w+1, l+1), without the cancellation
    expected = (n + 1) * math.log(2) + betaln(wins + 1, losses + 1) + math.log(upper_half)
    assert math.log(e_value(wins, losses)) == pytest.approx(expected, rel=1e-9, abs=1e-8)


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (7, 0), (3, 9), (25, 5)])
def test_the_e_value_is_the_integral_it_says_it_is(wins, losses):
    integral, _ = quad(lambda p: p**wins * (1 - p) ** losses, 0.5, 1)
    assert e_value(wins, losses) == pytest.approx(2 ** (wins + losses) * 2 * integral)


@given(wins=counts, losses=counts)
def test_under_a_fair_coin_the_e_value_is_a_martingale(wins, losses):
    after = (e_value(wins + 1, losses) + e_value(wins, losses + 1)) / 2
    assert after == pytest.approx(e_value(wins, losses), rel=1e-12)


@given(wins=counts, losses=counts)
def test_a_win_never_lowers_and_a_loss_never_raises_the_evidence(wins, losses):
    assert e_value(wins + 1, losses) >= e_value(wins, losses) >= e_value(wins, losses + 1)


@given(wins=counts, losses=counts)
def test_better_and_worse_mirror_each_other_and_add_up_to_the_mixture_over_all_p(wins, losses):
    n = wins + losses
    assert e_value_worse(wins, losses) == e_value(losses, wins)
    whole = 2 ** (n + 1) / ((n + 1) * math.comb(n, wins))
    assert e_value(wins, losses) + e_value_worse(wins, losses) == pytest.approx(whole, rel=1e-12)


def test_thousands_of_pairs_do_not_overflow():
    assert e_value(5_000, 0) == math.inf
    assert judge(5_000, 0, pair_budget=5_000).verdict is Verdict.PROMOTE
    assert e_value(0, 5_000) == pytest.approx(1 / 5_001)


@given(
    wins=st.integers(0, 60),
    losses=st.integers(0, 60),
    alpha=st.floats(1e-6, 0.5),
)
def test_wins_needed_is_the_smallest_number_that_crosses(wins, losses, alpha):
    k = wins_needed(wins, losses, alpha)
    assert e_value(wins + k, losses) >= 1 / alpha
    assert k == 0 or e_value(wins + k - 1, losses) < 1 / alpha


def test_the_window_rate_does_not_count_the_success_that_closed_the_window():
    assert unbiased_window_rate(30, 59) == 29 / 58
    assert unbiased_window_rate(1, 5) == 0
    assert unbiased_window_rate(0, 5) is None
    assert unbiased_window_rate(1, 1) is None
    with pytest.raises(ValueError, match="do not fit"):
        unbiased_window_rate(3, 2)


def test_an_open_evaluation_is_pending_and_says_what_is_missing():
    decision = judge(3, 1, 5)
    assert decision.verdict is Verdict.PENDING
    assert decision.wins_needed == 7
    assert decision.pairs_left == 51
    assert decision.threshold == 20
    assert decision.reason == (
        "Undecided so far: 3 wins, 1 loss, 5 ties, e-value 1.30 of 20.0 needed; calls never differed, "
        "e-values 1.82 for not worse and 1.00 for cheaper, both of 40.0 needed; 51 pairs of 60 left."
    )
    assert decision.missing == (
        "7 more wins in a row would promote it as better, 79 more pairs without a loss, 8 of them with fewer "
        "calls as not worse and cheaper; 51 pairs are left."
    )


def test_a_candidate_that_is_proven_worse_is_rejected_with_the_numbers():
    decision = judge(0, 7)
    assert decision.verdict is Verdict.REJECT
    assert decision.reason == "Worse: 0 wins, 7 losses, 0 ties, e-value for worse 31.9 of 20.0 needed."


def test_worse_is_judged_at_its_own_level_however_little_alpha_is_left():
    assert judge(0, 7, alpha=1e-6, pair_budget=200).verdict is Verdict.REJECT


def test_a_promotion_out_of_reach_is_rejected_with_pairs_left():
    last_chance = judge(0, 0, 13, pair_budget=20)
    too_late = judge(0, 0, 14, pair_budget=20)
    assert (last_chance.verdict, last_chance.wins_needed, last_chance.pairs_left) == (Verdict.PENDING, 7, 7)
    assert too_late.verdict is Verdict.REJECT
    assert too_late.reason == (
        "Out of reach: 0 wins, 0 losses, 14 ties; calls never differed; 7 more wins, or 81 more pairs without a "
        "loss, 8 of them with fewer calls, would decide; 6 pairs of 20 left."
    )


def test_a_spent_budget_is_inconclusive_and_says_how_many_wins_would_decide():
    decision = judge(6, 0, 54)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.reason.startswith("All 60 pairs are spent: 6 wins, 0 losses, 54 ties, e-value 18.1 of 20.0 needed;")
    assert decision.reason.endswith("; 1 more win, or 8 more pairs with fewer calls, would decide.")


def test_a_win_in_the_last_pair_still_promotes():
    assert judge(7, 0, 53).verdict is Verdict.PROMOTE


def test_nothing_measured_is_invalid_and_not_a_failure():
    decision = judge(0, 0, pairs_done=60, errors=ArmErrors(candidate=6, baseline=6))
    assert decision.verdict is Verdict.INVALID
    assert decision.reason == "Nothing was measured in 60 pairs."


@pytest.mark.parametrize("arm", ["candidate", "baseline"])
def test_more_errors_in_an_arm_than_allowed_are_invalid_even_for_a_winner(arm):
    allowed = judge(9, 0, pairs_done=15, errors=ArmErrors(**{arm: 6}))
    beyond = judge(9, 0, pairs_done=16, errors=ArmErrors(**{arm: 7}))
    assert allowed.verdict is Verdict.PROMOTE
    assert beyond.verdict is Verdict.INVALID
    assert beyond.reason == f"Errors took 7 pairs from the {arm}'s arm, 6 of 60 allowed."


def test_pairs_lost_to_errors_are_never_held_against_the_candidate():
    without_errors = judge(0, 0, 56)
    with_errors = judge(0, 0, 52, pairs_done=56, errors=ArmErrors(baseline=4))
    assert without_errors.verdict is Verdict.REJECT
    assert with_errors.verdict is Verdict.INVALID
    assert "4 pairs lost" in with_errors.reason


def test_moved_goalposts_close_the_evaluation_as_invalid():
    decision = judge(9, 0, changed=["memory snapshot", "max_calls"])
    assert decision.verdict is Verdict.INVALID
    assert decision.reason == "Changed during the evaluation: memory snapshot, max_calls."


def test_a_budget_that_no_clean_sweep_could_use_is_invalid_from_the_start():
    decision = judge(0, 0, pair_budget=6)
    assert decision.verdict is Verdict.INVALID
    assert "6 pairs cannot hold the 7 wins" in decision.reason


@pytest.mark.parametrize(
    "settings",
    [
        {"pairs_done": 2},
        {"pairs_done": 61},
        {"pair_budget": 0},
        {"errors": ArmErrors(candidate=1)},
        {"alpha": 0},
        {"alpha": 1},
    ],
)
def test_contradicting_counts_and_levels_are_refused(settings):
    with pytest.raises(ValueError, match=r".+"):
        judge(2, 1, **settings)


def test_negative_counts_are_refused():
    for refused in (lambda: Evidence(wins=-1), lambda: ArmErrors(candidate=-1), lambda: e_value(-1, 2)):
        with pytest.raises(ValueError, match="cannot be negative"):
            refused()


@given(data=st.data(), budget=st.integers(7, 150))
def test_every_verdict_keeps_its_promise(data, budget):
    wins, losses, ties = (data.draw(st.integers(0, 40)) for _ in range(3))
    pairs = wins + losses + ties
    if pairs > budget:
        return
    fewer = data.draw(st.integers(0, ties))
    evidence = Evidence(wins, losses, ties, fewer, data.draw(st.integers(0, ties - fewer)))
    decision = decide(evidence=evidence, pair_budget=budget, pairs_done=pairs, alpha=ALPHA)
    is_better, is_worse = decision.e_value >= decision.threshold, decision.e_worse >= 20
    is_cheaper = decision.e_cheaper >= decision.threshold_cheaper
    assert (decision.hypothesis == Hypothesis.BETTER) == is_better
    assert (decision.hypothesis == Hypothesis.CHEAPER) == (is_cheaper and not is_better and not is_worse)
    assert (decision.verdict is Verdict.PROMOTE) == bool(decision.hypothesis)
    if decision.verdict is Verdict.PENDING:
        assert decision.wins_needed <= decision.pairs_left or decision.calls_needed <= decision.pairs_left
    if decision.verdict is Verdict.REJECT:
        assert is_worse or decision.wins_needed > decision.pairs_left > 0 or pairs >= LEAST_PAIRS
    if decision.verdict is Verdict.INCONCLUSIVE:
        assert decision.pairs_left == 0
    assert decision.reason.endswith(".") and str(pairs and wins) in decision.reason
