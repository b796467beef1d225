"""Served-digest proof: green only when the latest live outcomes carry the digest that routing claims."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from promotion.applies import apply_canary
from promotion.models import LiveApply, ModelTag
from promotion.proof.served import AMBER, GREEN, RED, UNKNOWN, RoleProof, judge_role, read_served_proof
from promotion.proof.timeline import find_serving
from tests.promotion.scenes import Servers, make_base_tags, make_outcome, make_passed_canary
from training.models import Host


@pytest.fixture
def applied(host: Host, servers: Servers) -> LiveApply:
    """A switch of the controller, long enough ago for every run to know of it."""
    return apply_canary(canary_id=make_passed_canary(servers).pk, now=timezone.now())


def prove_controller() -> RoleProof:
    return next(role for role in read_served_proof().roles if role.role == "controller")


def serve_by(tag: ModelTag, host: Host, *, times: int = 1, after_s: float = 10, **changes) -> list[int]:
    began = timezone.now() + timedelta(seconds=after_s)
    return [make_outcome(host, served=tag.digest, started_at=began, **changes).pk for _ in range(times)]


def test_without_tags_nothing_is_claimed(db):
    assert read_served_proof().state == UNKNOWN


def test_after_a_switch_the_proof_is_amber_until_three_live_outcomes_carry_the_digest(applied, host):
    assert prove_controller().state == AMBER
    for served, state in ((1, AMBER), (2, AMBER), (3, GREEN)):
        serve_by(applied.to_tag, host)
        proof = prove_controller()
        assert (proof.state, proof.matching) == (state, served)
    assert proof.sentence.startswith("3 of the last 3 live outcomes asked the controller; 3 carry the digest of")


def test_a_first_tag_is_proven_the_same_way(host, servers):
    controller, _ = make_base_tags(servers)
    serve_by(controller, host, times=3)
    assert prove_controller().state == GREEN


def test_a_wrong_digest_turns_it_red_and_is_named(applied, host):
    serve_by(applied.to_tag, host, times=5)
    wrong = make_outcome(
        host, served="sha256:another", claimed=applied.to_digest, started_at=timezone.now() + timedelta(seconds=10)
    )
    proof = prove_controller()
    assert (proof.state, proof.wrong_outcome_id) == (RED, wrong.pk)
    assert f"Outcome {wrong.pk}" in proof.sentence


def test_a_server_that_serves_another_digest_under_the_claimed_name_is_red(applied, host):
    # Routing points at one tag while the servers hold something else under its name.
    make_outcome(host, served=applied.from_digest, claimed=applied.to_digest, started_at=timezone.now())
    assert prove_controller().state == RED


def test_a_run_begun_before_the_switch_does_not_count(applied, host):
    serve_by(applied.from_tag, host, times=3, after_s=-10)
    proof = prove_controller()
    assert (proof.state, proof.checked) == (AMBER, 0)


def test_a_run_begun_while_the_switch_was_committed_may_claim_the_old_tag(applied, host):
    serve_by(applied.from_tag, host, after_s=0.01)
    assert prove_controller().state == AMBER
    serve_by(applied.from_tag, host, after_s=10)
    assert prove_controller().state == RED


def test_an_outcome_written_before_the_switch_does_not_count(host, servers):
    canary = make_passed_canary(servers)
    serve_by(canary.evaluation.candidate, host, times=3)
    apply_canary(canary_id=canary.pk, now=timezone.now())
    assert prove_controller().checked == 0


def test_canary_runs_prove_nothing_about_the_active_tag(applied, host):
    serve_by(applied.from_tag, host, times=3, lane="canary")
    assert prove_controller().checked == 0


def test_a_run_that_never_reached_a_model_proves_nothing(applied, host):
    make_outcome(host, success=False, served="", started_at=timezone.now() + timedelta(seconds=10))
    assert prove_controller().checked == 0


def test_the_sentence_counts_replies_not_outcomes():
    rows = [(100 - index, "" if index in (0, 5, 9) else "d") for index in range(20)]
    proof = judge_role(role="controller", tag="t", digest="d", since=None, served=rows)
    assert (proof.state, proof.checked, proof.matching) == (GREEN, 17, 17)
    assert proof.sentence == "17 of the last 20 live outcomes asked the controller; 17 carry the digest of t, d."


@pytest.mark.parametrize(
    ("rows", "looked"), [(0, "no live outcome yet"), (4, "none of the last 4 live outcomes asked")]
)
def test_a_role_that_was_not_asked_says_so(rows, looked):
    proof = judge_role(role="task", tag="t", digest="d", since=None, served=[(row, "") for row in range(rows)])
    assert (proof.state, proof.checked) == (AMBER, 0)
    assert proof.sentence.startswith(f"Not asked: {looked}")


def test_the_worse_of_both_roles_is_the_whole(applied, host):
    task = ModelTag.objects.get(role="task")
    began = timezone.now() + timedelta(seconds=10)
    for _ in range(3):
        # The same digest serves both roles here: right for one, wrong for the other.
        make_outcome(host, served=task.digest, started_at=began)
    proof = read_served_proof()
    assert {role.role: role.state for role in proof.roles} == {"controller": RED, "task": GREEN}
    assert proof.state == RED


def test_an_old_wrong_outcome_is_forgotten_once_twenty_newer_ones_are_right(applied, host):
    make_outcome(host, served="sha256:another", started_at=timezone.now() + timedelta(seconds=10))
    serve_by(applied.to_tag, host, times=19)
    assert prove_controller().state == RED
    serve_by(applied.to_tag, host)
    assert prove_controller().state == GREEN


@pytest.mark.parametrize(
    ("served", "state"),
    [([], AMBER), (["d"] * 2, AMBER), (["d"] * 3, GREEN), (["d", "x", "d", "d"], RED), (["mixed"], RED)],
)
def test_the_judgement_is_a_function_of_what_was_served(served, state):
    rows = [(100 - index, digest) for index, digest in enumerate(served)]
    assert judge_role(role="controller", tag="t", digest="d", since=None, served=rows).state == state


def test_without_outcomes_nothing_is_said_to_agree(host, servers):
    make_base_tags(servers)
    serving = find_serving(role="controller", at=timezone.now() + timedelta(days=1))
    assert (serving.agrees, serving.checked) == (None, 0)
