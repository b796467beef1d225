"""Live applies: exactly once, however many race and wherever one crashes, and a way back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from lealife.core.actors import command_line
from lealife.core.errors import Conflict, GateRefused, NotFound, Refused
from promotion.applies import apply_canary, roll_back
from promotion.canary import settle_canary
from promotion.models import Canary, LiveApply, ModelTag, PromotionWindow
from promotion.routing import read_routing
from tests.promotion.scenes import (
    Servers,
    forging,
    make_base_tags,
    make_candidate,
    make_outcome,
    make_passed_canary,
    make_promoted,
)
from training.models import AuditEntry, Host

RACERS = 50


class Crash(Exception):
    """The process dies here."""


def crash_at(statement: int) -> tuple[Callable[..., Any], list[str]]:
    """A wrapper that lets `statement` statements pass and dies at the next; and the statements it saw."""
    seen: list[str] = []

    def wrapper(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if len(seen) == statement:
            raise Crash(sql)
        seen.append(sql)
        return execute(sql, params, many, context)

    return wrapper, seen


def race(attempt: Callable[[], Any], *, racers: int) -> list[Any]:
    """What each of `racers` threads got, results and refusals alike, all let go at the same moment."""
    start, results = threading.Barrier(racers), []

    def run() -> None:
        try:
            # The connection is made before the start, so that the race is about the work.
            connection.ensure_connection()
            start.wait()
            results.append(attempt())
        except Exception as error:  # noqa: BLE001  what it was is what the test looks at
            results.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(racers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def read_state(canary: Canary) -> tuple[Any, ...]:
    """All that an apply changes."""
    return (
        sorted(ModelTag.objects.values_list("pk", "status")),
        PromotionWindow.objects.get(pk=canary.evaluation.window_id).state,
        LiveApply.objects.count(),
    )


@pytest.fixture
def canary(db: None, servers: Servers) -> Canary:
    return make_passed_canary(servers)


def test_an_apply_routes_the_candidate_and_says_from_what_to_what(canary, host):
    before = read_routing().controller
    make_outcome(host)
    last = make_outcome(host)
    apply = apply_canary(canary_id=canary.pk, now=timezone.now())
    candidate = canary.evaluation.candidate
    assert read_routing().controller == candidate
    assert (apply.from_tag, apply.from_digest) == (before, before.digest)
    assert (apply.to_tag, apply.to_digest) == (candidate, candidate.digest)
    assert (apply.canary, apply.applied_by, apply.after_outcome_id) == (canary, "gate", last.pk)
    before.refresh_from_db()
    assert before.status == "retired"
    assert PromotionWindow.objects.get().state == "applied"


def test_the_same_decision_is_applied_once(canary):
    apply_canary(canary_id=canary.pk, now=timezone.now())
    with pytest.raises(Conflict, match="applied already"):
        apply_canary(canary_id=canary.pk, now=timezone.now())
    assert LiveApply.objects.count() == 1


@pytest.mark.parametrize("state", ["open", "aborted"])
def test_only_a_passed_canary_is_applied(canary, state):
    with forging():
        Canary.objects.update(state=state)
    before = read_state(canary)
    with pytest.raises(GateRefused, match="only a passed canary"):
        apply_canary(canary_id=canary.pk, now=timezone.now())
    assert read_state(canary) == before


def test_two_active_tags_of_a_role_are_impossible(canary):
    with pytest.raises(IntegrityError, match="one_active_tag_per_role"), transaction.atomic():
        ModelTag.objects.filter(pk=canary.evaluation.candidate_id).update(status="active")


@pytest.mark.django_db(transaction=True)
def test_of_fifty_racing_appliers_exactly_one_applies(servers):
    canary = make_passed_canary(servers)
    results = race(lambda: apply_canary(canary_id=canary.pk, now=timezone.now()), racers=RACERS)
    assert [type(result) for result in results if isinstance(result, LiveApply)] == [LiveApply]
    assert sum(isinstance(result, Conflict) for result in results) == RACERS - 1
    assert LiveApply.objects.count() == 1
    assert ModelTag.objects.filter(role="controller", status="active").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_crash_at_any_statement_applies_all_or_nothing(servers):
    canary = make_passed_canary(servers)
    before, crashes = read_state(canary), 0
    while True:
        wrapper, seen = crash_at(crashes)
        try:
            with connection.execute_wrapper(wrapper):
                apply_canary(canary_id=canary.pk, now=timezone.now())
        except Crash:
            assert read_state(canary) == before
            crashes += 1
            continue
        break
    assert crashes == len(seen) >= 8
    assert LiveApply.objects.count() == 1
    assert read_routing().controller.pk == canary.evaluation.candidate_id


# The way back.


def test_a_roll_back_is_a_new_apply_and_puts_the_old_tag_back(canary):
    first = apply_canary(canary_id=canary.pk, now=timezone.now())
    back = roll_back(role="controller", by=command_line("ada"), reason="It talks too much.")
    assert read_routing().controller == first.from_tag
    assert (back.from_tag, back.to_tag, back.rolls_back) == (first.to_tag, first.from_tag, first)
    assert (back.applied_by, back.reason) == ("ada", "It talks too much.")
    assert LiveApply.objects.count() == 2
    assert ModelTag.objects.get(pk=first.to_tag_id).status == "retired"
    assert AuditEntry.objects.filter(actor="ada", action="roll back").exists()


def test_with_no_switch_there_is_nothing_to_roll_back(db, servers):
    make_base_tags(servers)
    with pytest.raises(GateRefused, match="never been switched"):
        roll_back(role="controller", by=command_line("ada"), reason="")


def test_a_roll_back_is_not_rolled_back(canary):
    apply_canary(canary_id=canary.pk, now=timezone.now())
    roll_back(role="controller", by=command_line("ada"), reason="")
    with pytest.raises(GateRefused, match="itself a roll back"):
        roll_back(role="controller", by=command_line("ada"), reason="")


def test_a_role_that_does_not_exist_is_not_found(db):
    with pytest.raises(NotFound, match="controller or task"):
        roll_back(role="poet", by=command_line("ada"), reason="")


@pytest.mark.django_db(transaction=True)
def test_of_racing_roll_backs_one_is_done_and_the_others_are_refused(servers):
    canary = make_passed_canary(servers)
    first = apply_canary(canary_id=canary.pk, now=timezone.now())
    results = race(lambda: roll_back(role="controller", by=command_line("ada"), reason=""), racers=8)
    assert sum(isinstance(result, LiveApply) for result in results) == 1
    assert all(isinstance(result, LiveApply | Refused) for result in results)
    assert read_routing().controller == first.from_tag


@pytest.mark.django_db(transaction=True)
def test_an_apply_that_races_a_roll_back_leaves_one_active_tag_and_no_broken_constraint(servers):
    first = make_passed_canary(servers)
    apply_canary(canary_id=first.pk, now=timezone.now())
    second = make_passed_canary(servers, number=2)
    attempts = [
        lambda: apply_canary(canary_id=second.pk, now=timezone.now()),
        lambda: roll_back(role="controller", by=command_line("ada"), reason=""),
    ]
    results = race(lambda: attempts.pop()(), racers=2)
    assert all(isinstance(result, LiveApply | Refused | type(None)) for result in results)
    assert ModelTag.objects.filter(role="controller", status="active").count() == 1


# A decision holds against the tag it was measured against.


def test_a_canary_ends_when_its_baseline_is_rolled_back(host: Host, servers: Servers):
    apply_canary(canary_id=make_passed_canary(servers).pk, now=timezone.now())
    evaluation = make_promoted(servers, number=2)
    canary = Canary.objects.create(
        evaluation=evaluation, role="controller", share_percent=20, min_observations=1,
        deadline_at=timezone.now(), first_outcome_id=0,
    )  # fmt: skip
    roll_back(role="controller", by=command_line("ada"), reason="")
    settle_canary(canary_id=canary.pk, now=timezone.now())
    canary.refresh_from_db()
    evaluation.window.refresh_from_db()
    assert (canary.state, evaluation.window.state) == ("aborted", "rejected")
    assert canary.reason == "Changed since the evaluation: the active tag."


def test_a_passed_canary_is_not_applied_over_another_baseline(servers: Servers, db: None):
    apply_canary(canary_id=make_passed_canary(servers).pk, now=timezone.now())
    canary = make_passed_canary(servers, number=2)
    back = roll_back(role="controller", by=command_line("ada"), reason="")
    assert apply_canary(canary_id=canary.pk, now=timezone.now()) is None
    canary.refresh_from_db()
    assert canary.state == "aborted"
    assert PromotionWindow.objects.get(number=2).state == "rejected"
    assert read_routing().controller == back.to_tag
    assert make_candidate(servers, back.to_tag, saying="next").status == "candidate"
