"""The watch over a live apply: a small share held back, harm found by the canary's own e-process, the way back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from lealife.core.actors import command_line
from lealife.pipeline import promotion_stages
from promotion.applies import apply_canary, roll_back
from promotion.gate.harm import WatchVerdict, e_harm, judge_watch
from promotion.holdback import count_watched, route_run
from promotion.models import Canary, LiveApply, ModelTag, Watch, WatchedRun
from promotion.proof.served import AMBER, GREEN, RED, read_served_proof
from promotion.routing import read_routing
from promotion.watches import roll_back_red, settle_watch
from tests.promotion.scenes import Servers, change_settings, make_outcome, make_passed_canary, make_promoted
from training.models import AuditEntry, Host, Run, TrainingCycle, TrainingSource

WANTED = 4


@pytest.fixture
def applied(host: Host, servers: Servers) -> LiveApply:
    change_settings(watch_observations=WANTED, watch_deadline_s=600, hold_back_percent=20)
    return apply_canary(canary_id=make_passed_canary(servers).pk, now=timezone.now())


def observe(apply: LiveApply, host: Host, *, held: bool, successes: int = 0, failures: int = 0) -> None:
    tag = apply.from_tag if held else apply.to_tag
    for success in [True] * successes + [False] * failures:
        began = timezone.now() + timedelta(seconds=10)
        make_outcome(host, success=success, served=tag.digest, watch=apply.watch, held_back=held, started_at=began)


def settle(apply: LiveApply, *, after_s: float = 0) -> WatchVerdict:
    now = apply.watch.opened_at + timedelta(seconds=after_s)
    verdict = settle_watch(watch_id=apply.watch.pk, now=now).verdict
    apply.watch.refresh_from_db()
    return verdict


def begin_run(host: Host, *, lane: str = "training", canary_id: int | None = None) -> Run:
    source = TrainingSource.objects.create(title="t", prompt="Which?", host=host, status="claimed")
    run = Run.objects.create(
        lane=lane, status="succeeded", host=host, prompt="Which?", pages_target=1, max_calls=1, canary_id=canary_id
    )
    if lane in Run.CYCLE_LANES:
        TrainingCycle.objects.create(source=source, run=run)
    return run


# The share that is held back.


def test_an_apply_opens_a_watch_by_the_settings(applied):
    watch = applied.watch
    assert (watch.state, watch.role, watch.share_percent, watch.wanted_observations) == ("open", "controller", 20, 4)
    assert watch.deadline_at == watch.opened_at + timedelta(seconds=600)


def test_with_nothing_to_hold_back_nothing_is_watched(db, servers):
    change_settings(hold_back_percent=0)
    apply_canary(canary_id=make_passed_canary(servers).pk, now=timezone.now())
    assert not Watch.objects.exists()


def test_the_previous_tag_still_serves_its_share_and_each_run_stores_its_promised_tag(applied, host):
    served = [route_run(begin_run(host)).controller for _ in range(60)]
    held = served.count(applied.from_tag)
    assert 1 <= held <= 45
    assert held + served.count(applied.to_tag) == 60
    assert list(WatchedRun.objects.order_by("id").values_list("held_back", flat=True)) == [
        tag == applied.from_tag for tag in served
    ]


def test_a_run_that_is_prepared_twice_keeps_its_arm(applied, host):
    run = begin_run(host)
    assert route_run(run) == route_run(run)
    assert WatchedRun.objects.count() == 1


@pytest.mark.parametrize("lane", ["standard", "manual", "canary"])
def test_only_training_runs_are_held_back(applied, host, lane):
    Watch.objects.update(share_percent=100)
    assert route_run(begin_run(host, lane=lane)) == read_routing()
    assert route_run(begin_run(host, canary_id=7)) == read_routing()
    assert not WatchedRun.objects.exists()
    assert route_run(begin_run(host)).controller == applied.from_tag


def test_after_a_roll_back_nothing_is_held_back(applied, host):
    roll_back(role="controller", by=command_line("ada"), reason="It shouts.")
    assert route_run(begin_run(host)) == read_routing()
    applied.watch.refresh_from_db()
    assert (applied.watch.state, applied.watch.reason) == ("ended", "Ended by the next switch: It shouts.")


def test_one_watch_a_role_is_open(applied, servers):
    with pytest.raises(IntegrityError, match="one_open_watch_per_role"), transaction.atomic():
        Watch.objects.create(
            apply=LiveApply.objects.create(
                role="controller", to_tag=applied.to_tag, to_digest="d", applied_by="t", reason="r"
            ),
            role="controller", share_percent=1, wanted_observations=1, deadline_at=timezone.now(),
            opened_at=timezone.now(),
        )  # fmt: skip


def test_the_next_canary_of_the_role_waits_for_the_watch(applied, servers):
    make_promoted(servers, number=2)
    assert not promotion_stages.work_canary(timezone.now())
    settle(applied, after_s=600)
    assert promotion_stages.work_canary(timezone.now())
    assert Canary.objects.filter(state="open").count() == 1


# How it ends.


def test_a_watch_ends_when_both_arms_have_been_seen_and_no_harm_is_found(applied, host):
    observe(applied, host, held=False, successes=9, failures=1)
    observe(applied, host, held=True, successes=WANTED - 1)
    assert settle(applied) is WatchVerdict.PENDING
    observe(applied, host, held=True, successes=1)
    assert settle(applied) is WatchVerdict.CLEAR
    watch = applied.watch
    assert (watch.state, watch.applied_successes, watch.applied_observations) == ("cleared", 9, 10)
    assert (watch.held_successes, watch.held_observations) == (4, 4)
    assert watch.reason.startswith("No harm found: applied 9 of 10, held back 4 of 4, e-value")
    assert LiveApply.objects.count() == 1


def test_a_watch_without_traffic_ends_at_its_deadline_and_says_so(applied):
    assert settle(applied, after_s=599) is WatchVerdict.PENDING
    assert settle(applied, after_s=600) is WatchVerdict.SHORT
    assert applied.watch.state == "ended"
    assert "Too little traffic by the deadline to tell" in applied.watch.reason


def test_a_watch_that_has_ended_stays_as_it_ended(applied, host):
    settle(applied, after_s=600)
    reason = applied.watch.reason
    observe(applied, host, held=False, failures=30)
    observe(applied, host, held=True, successes=10)
    settle(applied)
    assert (applied.watch.state, applied.watch.reason) == ("ended", reason)
    assert read_routing().controller == applied.to_tag


def do_harm(applied: LiveApply, host: Host) -> None:
    observe(applied, host, held=False, failures=12)
    observe(applied, host, held=True, successes=8)


def test_harm_rolls_the_apply_back_once_with_its_numbers(applied, host):
    Watch.objects.update(wanted_observations=50)
    do_harm(applied, host)
    assert settle(applied) is WatchVerdict.HARM
    back = LiveApply.objects.get(rolls_back=applied)
    assert read_routing().controller == applied.from_tag
    assert (back.applied_by, applied.watch.state) == ("gate", "harmed")
    assert back.reason == f"Automatic roll back. {applied.watch.reason}"
    assert "Harm: applied 0 of 12, held back 8 of 8, e-value" in back.reason
    assert AuditEntry.objects.filter(action="roll back", actor="gate").count() == 1
    settle(applied)
    promotion_stages.work_watch(timezone.now())
    assert LiveApply.objects.count() == 2


@pytest.mark.parametrize("changes", [{"auto_rollback": False}, {"promotion_hold": True}])
def test_harm_is_only_proposed_where_that_is_set_or_promotion_is_on_hold(applied, host, changes):
    change_settings(**changes)
    do_harm(applied, host)
    assert settle(applied) is WatchVerdict.HARM
    assert applied.watch.state == "harmed"
    assert read_routing().controller == applied.to_tag


def test_the_watch_judges_by_the_canarys_own_e_process():
    decision = judge_watch(applied=(3, 20), held=(9, 10), elapsed_s=0, deadline_s=9, wanted_observations=50)
    assert decision.e_harm == e_harm(candidate=(3, 20), baseline=(9, 10))
    assert decision.verdict is WatchVerdict.HARM
    assert " of 10 for more than 5.0 points worse" in decision.reason
    with pytest.raises(ValueError, match="at least 1"):
        judge_watch(applied=(0, 0), held=(0, 0), elapsed_s=0, deadline_s=9, wanted_observations=0)


# Next to the proof.


def prove() -> tuple[str, int, str]:
    proof = next(role for role in read_served_proof().roles if role.role == "controller")
    return proof.state, proof.matching, proof.sentence


def test_held_back_runs_neither_prove_nor_disprove_the_active_tag(applied, host):
    observe(applied, host, held=True, successes=5)
    observe(applied, host, held=False, successes=2)
    assert prove()[:2] == (AMBER, 2)
    observe(applied, host, held=False, successes=1)
    assert prove()[:2] == (GREEN, 3)


def test_a_run_held_back_that_another_tag_served_is_red(applied, host):
    wrong = make_outcome(
        host, served=applied.to_digest, watch=applied.watch, held_back=True,
        started_at=timezone.now() + timedelta(seconds=10),
    )  # fmt: skip
    state, _, sentence = prove()
    assert state == RED
    assert sentence.startswith(f"Outcome {wrong.pk} was not served by {applied.from_tag.name}")
    assert f"{applied.to_tag.name}, {applied.to_digest[:19]}, answers under its name" in sentence


# A red proof.


def serve_wrong(host: Host, digest: str) -> None:
    make_outcome(host, served=digest, started_at=timezone.now() + timedelta(seconds=10))


def test_a_red_proof_after_an_apply_rolls_it_back_once(applied, host):
    assert roll_back_red() == []
    serve_wrong(host, applied.from_digest)
    assert promotion_stages.is_watch_ready(timezone.now())
    assert promotion_stages.work_watch(timezone.now())
    back = LiveApply.objects.get(rolls_back=applied)
    assert back.reason.startswith("Automatic roll back. Outcome ")
    assert f"{applied.from_tag.name}, {applied.from_digest[:19]}, answers under its name" in back.reason
    assert read_routing().controller == applied.from_tag
    # Whatever turns red now: there is no further way back.
    serve_wrong(host, "sha256:nobody's")
    assert roll_back_red() == []
    assert LiveApply.objects.count() == 2


@pytest.mark.parametrize("changes", [{"auto_rollback": False}, {"promotion_hold": True}])
def test_a_red_proof_rolls_nothing_back_where_that_is_not_set(applied, host, changes):
    change_settings(**changes)
    serve_wrong(host, applied.from_digest)
    assert roll_back_red() == []
    assert prove()[0] == RED


def test_the_first_tag_has_no_way_back(host, servers):
    canary = make_passed_canary(servers)
    serve_wrong(host, "sha256:other")
    assert roll_back_red() == []
    assert ModelTag.objects.get(status="active", role="controller") == canary.evaluation.baseline


@pytest.mark.parametrize("code", ["model_unavailable", "served_other_digest"])
def test_runs_that_no_model_answered_as_promised_are_not_counted_by_a_watch(applied, host, code):
    observe(applied, host, held=True, successes=1)
    make_outcome(host, success=False, error_code=code, watch=applied.watch, started_at=timezone.now())
    assert count_watched(applied.watch.pk) == {
        "applied_observations": 0, "applied_successes": 0, "held_observations": 1, "held_successes": 1,
    }  # fmt: skip
