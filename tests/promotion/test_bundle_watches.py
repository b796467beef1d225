"""Proof bundles hold watches, held-back runs, operators' aborts and automatic roll backs, and check them again."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from lealife.core.actors import command_line
from promotion.applies import apply_canary
from promotion.canary import abort_open_canary, open_canary, settle_canary
from promotion.models import LiveApply, PromotionWindow
from promotion.proof.bundle import BrokenBundle, Checked, chain_records, verify_bundle
from promotion.proof.bundle_records import read_records
from promotion.proof.bundle_rules import KINDS
from promotion.watches import roll_back_red, settle_watch
from tests.factories import make_host
from tests.promotion.ledgers import History, evaluate, make_history
from tests.promotion.scenes import Servers, change_settings, make_outcome
from training.models import Host
from training.seals import seal_outcomes

Records = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def history(host: Host, servers: Servers) -> History:
    return make_history(host, servers)


def verify(records: Records) -> Checked:
    counts = {kind: sum(found == kind for found, _ in records) for kind in KINDS}
    data = b"".join(chain_records(records, made_at="now", version="0", counts=counts))
    return verify_bundle(io.BytesIO(data))


def forge(records: Records, kind: str, **change: Any) -> str:
    """What the verifier says of the records with the last of a kind changed and all hashed again."""
    place = max(number for number, (found, _) in enumerate(records) if found == kind)
    forged = [*records[:place], (kind, {**records[place][1], **change}), *records[place + 1 :]]
    with pytest.raises(BrokenBundle) as caught:
        verify(forged)
    return str(caught.value)


def promote_second(host: Host, servers: Servers, history: History) -> LiveApply:
    """Another candidate goes through its canary and is applied; its watch is open."""
    change_settings(canary_min_observations=3)
    evaluation = evaluate(host, servers, history.applied.from_tag, number=3, pairs=[(True, False)] * 14)
    canary = open_canary(evaluation_id=evaluation.pk, now=timezone.now())
    for lane in ("canary", "training"):
        for _ in range(3):
            make_outcome(host, lane=lane, canary_id=canary.pk)
    settle_canary(canary_id=canary.pk, now=timezone.now())
    return apply_canary(canary_id=canary.pk, now=timezone.now())


def do_harm(apply: LiveApply, host: Host) -> None:
    for _ in range(12):
        make_outcome(host, success=False, served=apply.to_digest, watch=apply.watch)
    for _ in range(8):
        make_outcome(host, served=apply.from_digest, watch=apply.watch, held_back=True)
    settle_watch(watch_id=apply.watch.pk, now=timezone.now())
    seal_outcomes()


@pytest.fixture(scope="module")
def harmed_records(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Records:
    """The records of a history with a roll back for harm, which is rolled back at once."""
    with django_db_blocker.unblock(), transaction.atomic():
        host, servers = make_host(), Servers()
        do_harm(promote_second(host, servers, make_history(host, servers)), host)
        found = list(read_records())
        transaction.set_rollback(True)
    return found


def test_a_watch_cut_short_by_a_roll_back_verifies(history):
    checked = verify(list(read_records()))
    assert (checked.counts["watch"], checked.counts["watched"]) == (1, 2)
    assert "2 watched runs" in checked.sentence


def test_a_bundle_with_a_roll_back_for_harm_and_a_late_outcome_verifies(history, host, servers):
    apply = promote_second(host, servers, history)
    do_harm(apply, host)
    assert LiveApply.objects.get(rolls_back=apply).reason.startswith("Automatic roll back. Harm:")
    make_outcome(host, served=apply.to_digest, watch=apply.watch)
    assert verify(list(read_records())).counts["watch"] == 2


@pytest.mark.parametrize(
    ("kind", "change", "fault"),
    [
        ("watch", {"state": "cleared"}, "it does not say what apply"),
        ("watch", {"applied_observations": 30}, "it counted 0 of 30 in the applied arm"),
        ("watch", {"held_successes": 2, "held_observations": 2}, "the guardrail says"),
        ("watch", {"e_harm": 3.0}, "its counts give an e-value of"),
        ("watch", {"reason": "Because."}, "it does not say what apply"),
        ("watch", {"apply": 0}, "apply 0 is no apply of a canary"),
        ("watched", {"held_back": False}, "a run that was not held back was promised"),
        ("watched", {"watch": 0}, "its outcomes give 7 of 7"),
        ("apply", {"reason": "I felt like it."}, "the gate rolled back without saying why it may"),
        ("apply", {"reason": "Automatic roll back. Outcome 0 was not served by x"}, "it names neither harm nor"),
        ("apply", {"reason": "Automatic roll back. Harm: worse."}, "it does not say what apply"),
    ],
)
def test_a_forged_watch_or_roll_back_is_named(harmed_records, kind, change, fault):
    assert fault in forge(harmed_records, kind, **change)


def test_a_watch_that_is_left_out_is_missed(harmed_records):
    with pytest.raises(BrokenBundle, match="no watch bears out the harm that apply"):
        verify([record for record in harmed_records if record[0] != "watch"])


def test_a_roll_back_for_a_red_proof_verifies(history, host, servers):
    apply = promote_second(host, servers, history)
    make_outcome(host, served=apply.from_digest, started_at=timezone.now() + timedelta(seconds=10))
    assert [back.rolls_back for back in roll_back_red()] == [apply]
    verify(list(read_records()))


def test_a_canary_that_an_operator_ended_verifies_and_cannot_have_passed(history, host, servers):
    evaluation = evaluate(host, servers, history.applied.from_tag, number=3, pairs=[(True, False)] * 14)
    open_canary(evaluation_id=evaluation.pk, now=timezone.now())
    abort_open_canary(by=command_line("ada"), origin="cli", reason="Enough.")
    assert PromotionWindow.objects.get(pk=evaluation.window_id).state == "rejected"
    verify(list(read_records()))
    assert "the guardrail says" in forge(list(read_records()), "canary", state="passed")


def test_an_outcome_that_came_after_the_canary_closed_is_no_fault(history, host):
    for lane in ("canary", "training"):
        make_outcome(host, lane=lane, canary_id=history.canary.pk, success=False, error_code="timeout")
    verify(list(read_records()))
