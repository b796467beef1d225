"""An evaluation that shows its candidate to be not worse and cheaper: counted, decided, shown and rebuilt."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from lealife.dashboard.live.publisher import publisher
from lealife.progress import describe_story
from lealife.story import MemoryMeasure, tell_story
from promotion.evaluation.comparison import count_pairs, settle_evaluation, sum_evidence
from promotion.evaluation.evidence import read_trial
from promotion.evaluation.standing import read_candidate
from promotion.gate.pairs import judge_pair
from promotion.models import Evaluation, EvaluationPair, PageFreeze
from promotion.proof.bundle_rules import PairTally
from promotion.proof.ledger import read_error_budget
from promotion.proof.timeline import rebuild_verdict
from tests.promotion.ledgers import make_arm
from tests.promotion.scenes import Servers, forging, make_base_tags, make_candidate, make_window
from training.models import Host

# So high that 31 ties show a candidate to be not worse.
ALPHA = 0.9
MEMORY = MemoryMeasure(1, 0.0, 0.5, 5.0, 3.5)


@pytest.fixture
def evaluation(host: Host, servers: Servers) -> Evaluation:
    baseline, _ = make_base_tags(servers)
    candidate = make_candidate(servers, baseline)
    return Evaluation.objects.create(
        window=make_window("evaluating"),
        candidate=candidate,
        candidate_digest=candidate.digest,
        baseline=baseline,
        baseline_digest=baseline.digest,
        candidate_number=1,
        alpha=ALPHA,
        pair_budget=60,
        seed=0,
        freeze=PageFreeze.objects.create(memory_digest="m"),
        settings_digest="s",
    )


def add_pair(evaluation: Evaluation, host: Host, candidate: dict, baseline: dict) -> EvaluationPair:
    index = evaluation.pairs.count()
    arms = [make_arm(host, name=f"{index}/{arm}", **given) for arm, given in enumerate((candidate, baseline))]
    return EvaluationPair.objects.create(
        evaluation=evaluation,
        index=index,
        candidate_arm=arms[0],
        baseline_arm=arms[1],
        candidate_first=True,
        result=judge_pair(candidate=arms[0], baseline=arms[1]).value,
    )


@pytest.fixture
def promoted(evaluation: Evaluation, host: Host) -> Evaluation:
    """Ties that both solve, every third in fewer calls, until the gate decides."""
    while evaluation.verdict == Evaluation.Verdict.PENDING:
        calls = 1 if evaluation.pairs.count() % 3 == 0 else 2
        add_pair(evaluation, host, {"success": True, "calls": calls}, {"success": True, "calls": 2})
        settle_evaluation(evaluation_id=evaluation.pk, changed=[], now=timezone.now())
        evaluation.refresh_from_db()
    return evaluation


def test_a_candidate_that_ties_in_fewer_calls_is_promoted_as_cheaper(promoted):
    assert (promoted.verdict, promoted.hypothesis) == ("promote", "cheaper")
    assert (promoted.wins, promoted.losses, promoted.ties) == (0, 0, 31)
    assert (promoted.fewer_calls, promoted.more_calls) == (11, 0)
    assert promoted.e_value == 1.0
    assert promoted.e_cheaper >= 3 / ALPHA
    assert promoted.reason.startswith("Not worse and cheaper: 0 wins, 0 losses, 31 ties; fewer calls in 11 pairs, more")
    promoted.window.refresh_from_db()
    assert promoted.window.state == "canary"


def test_every_page_names_the_hypothesis_and_both_e_values(promoted, browser: Client):
    lines = read_candidate().hypotheses
    assert [(line.name, line.promoted) for line in lines] == [
        ("Better answers", False),
        ("Not worse and cheaper", True),
    ]
    assert read_trial(promoted.pk).hypotheses == lines
    publisher._latest = {}
    page = browser.get(reverse("candidate", args=[promoted.pk])).content.decode()
    assert "Promoted it" in page
    for line in lines:
        assert line.name in page and line.score in page
    assert "Not worse and cheaper (promoted it)" in browser.get(reverse("training")).content.decode()


def test_the_ledger_and_the_story_name_the_hypothesis(promoted):
    (line,) = read_error_budget().lines
    assert (line.hypothesis, line.e_cheaper, line.threshold_cheaper) == (
        "cheaper",
        promoted.e_cheaper,
        pytest.approx(3 / ALPHA),
    )
    told = dict(describe_story(tell_story(promoted, memory=MEMORY, seconds=1)))
    assert told["Better answers"].endswith("needed")
    assert told["Not worse and cheaper"] == "e-value 3.37 of 3.33 needed: promoted it"
    assert told["Fewer–more calls"].startswith("11–0")


def test_the_verdict_is_rebuilt_from_the_calls_and_a_forged_hypothesis_is_named(promoted):
    assert rebuild_verdict(promoted.pk).fault == ""
    with forging():
        Evaluation.objects.filter(pk=promoted.pk).update(hypothesis="better")
    assert "speak for the hypothesis “cheaper”, stored is “better”" in rebuild_verdict(promoted.pk).fault


def test_the_database_counts_calls_as_the_gate_does(evaluation, host):
    arms = [
        {"success": success, "calls": calls, "invalid": invalid}
        for success, calls, invalid in [(True, 1, False), (True, 2, False), (False, 1, False), (False, 3, True)]
    ]
    tally = PairTally()
    for candidate in arms:
        for baseline in arms:
            pair = add_pair(evaluation, host, candidate, baseline)
            tally.add(candidate=pair.candidate_arm, baseline=pair.baseline_arm)
    evidence = sum_evidence(count_pairs(evaluation.pk))
    assert (evidence.fewer_calls, evidence.more_calls) == (tally.fewer_calls, tally.more_calls) == (1, 1)
    assert (evidence.wins, evidence.losses, evidence.ties) == (tally.wins, tally.losses, tally.ties)
