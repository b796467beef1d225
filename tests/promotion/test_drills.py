"""Gate drills: tags whose worth is known go through the same gate, lead nowhere, and are counted."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from lealife.core.actors import command_line
from promotion.evaluation.comparison import run_pairs
from promotion.evaluation.drills import has_drill_work, is_drill_due, read_drills, start_drill
from promotion.evaluation.standing import read_candidate
from promotion.gate.rule import Verdict
from promotion.models import Canary, Evaluation, GateDrill, LiveApply, ModelTag
from promotion.proof.bundle_records import count_records, read_records
from promotion.steering import request_drill
from tests.promotion.scenes import (
    Picker,
    Servers,
    change_settings,
    make_base_tags,
    make_candidate,
    make_tasks,
    make_tools,
    open_trial,
)
from tests.promotion.test_candidates import remember_exemplar
from training.models import Host

PAIRS = 13
ME = {"by": command_line("ada"), "origin": "tests"}


@pytest.fixture
def active(host: Host, servers: Servers) -> ModelTag:
    """The active controller; one pick decides a task, and there are situations to spoil."""
    controller, _ = make_base_tags(servers)
    make_tasks(host, PAIRS)
    change_settings(controller_max_calls=1, default_pages_target=2, evaluation_pairs=PAIRS)
    for number in range(4):
        remember_exemplar(host, number, right=number % 2)
    return controller


def start_both(servers: Servers) -> tuple[Evaluation, Evaluation]:
    request_drill(**ME)
    now = timezone.now()
    assert start_drill(server=servers, now=now)
    assert start_drill(server=servers, now=now)
    assert not start_drill(server=servers, now=now)
    clone, sabotaged = Evaluation.every.filter(drill=True).order_by("pk")
    return clone, sabotaged


def run_to_verdict(evaluation: Evaluation, servers: Servers, *, clumsy: set[str]) -> str:
    for _ in range(PAIRS + 1):
        decision = run_pairs(
            evaluation_id=evaluation.pk, tools=make_tools(servers, Picker(clumsy=clumsy)), now=timezone.now()
        )
        if decision.verdict is not Verdict.PENDING:
            return str(decision.verdict)
    raise AssertionError("no verdict")


def test_the_clone_is_the_same_in_effect_under_a_digest_of_its_own(active, servers):
    clone, _ = start_both(servers)
    recipe, parent = clone.candidate.recipe, active.recipe
    assert {key for key in recipe if recipe[key] != parent[key]} == {"parameters"}
    changed = {key for key in recipe["parameters"] if recipe["parameters"][key] != parent["parameters"][key]}
    assert changed == {"seed"}
    assert clone.candidate.digest != active.digest


def test_the_sabotaged_copy_picks_wrong_in_every_exemplar(active, servers):
    _, sabotaged = start_both(servers)
    answers = [content for role, content in sabotaged.candidate.recipe["messages"] if role == "assistant"]
    assert answers == ['{"pick": 5}'] * 4
    assert sabotaged.candidate.recipe["shortlist_size"] == active.recipe["shortlist_size"]


def test_with_nothing_to_spoil_the_sabotaged_copy_is_refused_in_one_sentence(host, servers):
    make_base_tags(servers)
    make_tasks(host, PAIRS)
    request_drill(**ME)
    while start_drill(server=servers, now=timezone.now()):
        pass
    assert GateDrill.objects.get(kind="sabotaged").reason == "There is no verified run yet to sabotage a copy with."
    assert Evaluation.every.count() == 1


def test_the_gate_rejects_both_and_the_report_counts_them(active, servers):
    assert read_drills().sentence == "The gate has not been drilled yet."
    clone, sabotaged = start_both(servers)
    assert read_drills().open == 2
    assert read_drills().sentence == "2 drills are under way."
    run_to_verdict(clone, servers, clumsy=set())
    run_to_verdict(sabotaged, servers, clumsy={sabotaged.candidate.name})
    report = read_drills()
    assert (report.judged, report.false_promotions, report.misses, report.open) == (2, 0, 0, 0)
    assert report.sabotaged.rejected == 1
    assert report.last_at is not None


def test_a_gate_that_errs_is_seen_to_err_and_still_nothing_is_tried(active, servers):
    clone, sabotaged = start_both(servers)
    # A stand-in that serves the clone better than its original: what a leak between the arms would look like.
    assert run_to_verdict(clone, servers, clumsy={active.name}) == "promote"
    report = read_drills()
    assert (report.false_promotions, report.clone.promoted, report.misses) == (1, 1, 0)
    assert "promoted 1" in report.sentence
    assert not Evaluation.objects.exists()
    assert not Canary.objects.exists()
    assert not LiveApply.objects.exists()
    assert sabotaged.candidate.status == ModelTag.Status.UNUSED


def test_a_drill_spends_no_error_budget_and_is_marked_in_the_proof(active, servers):
    clone, sabotaged = start_both(servers)
    run_to_verdict(clone, servers, clumsy=set())
    assert read_candidate() is None
    verdicts = [body for kind, body in read_records() if kind == "verdict"]
    assert [verdict["drill"] for verdict in verdicts] == [True, True]
    assert count_records()["verdict"] == len(verdicts)
    candidate = make_candidate(servers, active)
    real = open_trial(candidate)
    assert (real.candidate_number, real.alpha) == (1, clone.alpha)
    assert sabotaged.alpha == clone.alpha


def test_a_drill_is_due_by_the_clock_only_when_a_setting_says_so(active, servers):
    now = timezone.now()
    assert not is_drill_due(now=now)
    change_settings(drill_every_days=7)
    assert has_drill_work(now=now)
    assert start_drill(server=servers, now=now)
    assert set(GateDrill.objects.values_list("requested_by", flat=True)) == {"schedule"}
    assert not is_drill_due(now=now + timedelta(days=8))
    Evaluation.every.update(verdict="invalid")
    GateDrill.objects.filter(state="requested").update(state="refused")
    assert not is_drill_due(now=now + timedelta(days=6))
    assert is_drill_due(now=now + timedelta(days=8))
