"""The time machine: what served then, what the outcomes say of it, and verdicts rebuilt from evidence."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from lealife.core.errors import NotFound
from promotion.models import Canary, Evaluation, ModelTag
from promotion.proof.timeline import find_serving, rebuild_verdict
from tests.factories import make_host
from tests.promotion.ledgers import History, make_history
from tests.promotion.scenes import Servers, forging, make_outcome
from training.models import Host

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def history(kept_rows: None) -> History:
    return make_history(make_host(), Servers())


def test_before_the_first_switch_the_first_tag_served(history):
    serving = find_serving(role="controller", at=history.applied.applied_at - timedelta(microseconds=1))
    assert (serving.tag, serving.digest) == (history.applied.from_tag.name, history.applied.from_digest)
    assert (serving.apply_id, serving.until) == (None, history.applied.applied_at)


def test_between_two_switches_the_first_ones_tag_served(history):
    serving = find_serving(role="controller", at=history.applied.applied_at)
    assert (serving.tag, serving.digest) == (history.applied.to_tag.name, history.applied.to_digest)
    assert (serving.apply_id, serving.until) == (history.applied.pk, history.rolled_back.applied_at)


def test_after_a_roll_back_the_tag_before_serves_again(history):
    serving = find_serving(role="controller", at=timezone.now())
    assert (serving.apply_id, serving.digest) == (history.rolled_back.pk, history.applied.from_digest)
    assert serving.until is None


def test_a_role_that_was_never_switched_has_its_first_tag(history):
    serving = find_serving(role="task", at=timezone.now())
    assert (serving.apply_id, serving.tag) == (None, ModelTag.objects.get(role="task", status="active").name)


def test_outcomes_from_the_time_of_the_tag_agree(history):
    serving = find_serving(role="controller", at=history.applied.applied_at)
    assert (serving.agrees, serving.checked) == (True, 1)
    assert "all 1 live outcomes near that moment carry its digest" in serving.sentence


def test_the_timeline_shows_what_was_held_back(history):
    watch = history.applied.watch
    during = find_serving(role="controller", at=watch.opened_at)
    assert (during.held_back_percent, during.agrees, during.checked) == (10, True, 1)
    assert f"10 % of training runs were held back for {history.applied.from_tag.name}" in during.sentence
    assert find_serving(role="controller", at=timezone.now()).held_back_percent == 0


def test_an_outcome_served_by_another_digest_is_named(history):
    began = timezone.now() + timedelta(seconds=10)
    wrong = make_outcome(Host.objects.get(), served="sha256:another", started_at=began)
    serving = find_serving(role="controller", at=began)
    assert (serving.agrees, serving.wrong_outcome_id) == (False, wrong.pk)


def test_before_the_first_tag_nothing_served(history):
    with pytest.raises(NotFound, match="No controller tag served at 2000-01-01"):
        find_serving(role="controller", at=timezone.now().replace(year=2000, month=1, day=1))
    with pytest.raises(NotFound, match="There is no role 'cook'"):
        find_serving(role="cook", at=timezone.now())


def test_stored_verdicts_follow_from_their_pairs(history):
    for evaluation, verdict in ((history.promoted, "promote"), (history.rejected, "reject")):
        rebuilt = rebuild_verdict(evaluation.pk)
        assert (rebuilt.decision.verdict, rebuilt.agrees) == (verdict, True)
        assert rebuilt.decision.reason == evaluation.reason


def test_an_edited_verdict_is_detected_from_its_evidence(history):
    with forging():
        Evaluation.objects.filter(pk=history.rejected.pk).update(verdict="promote")
    rebuilt = rebuild_verdict(history.rejected.pk)
    assert (rebuilt.agrees, rebuilt.fault) == (False, "the pairs give reject, stored is promote")


def test_an_edited_canary_is_detected_from_its_outcomes(history):
    with forging():
        Canary.objects.filter(pk=history.canary.pk).update(candidate_successes=1)
    rebuilt = rebuild_verdict(history.promoted.pk)
    assert (rebuilt.fault, rebuilt.agrees) == ("", False)
    assert "the candidate" in rebuilt.canary_fault


def test_an_evaluation_that_never_was_is_refused():
    with pytest.raises(CommandError, match="There is no evaluation 0"):
        call_command("proof", "verdict", "0")


def test_the_command_says_what_served_and_that_verdicts_agree(history):
    out = io.StringIO()
    call_command("proof", "at", history.applied.applied_at.isoformat(), stdout=out)
    call_command("proof", "verdict", str(history.promoted.pk), stdout=out)
    assert f"controller: {history.applied.to_tag.name}, {history.applied.to_digest}, since" in out.getvalue()
    assert out.getvalue().endswith("They agree.\n")


@pytest.mark.parametrize("moment", ["yesterday", "2026-11-24T01:00", "2026-13-44T01:00Z"])
def test_a_moment_without_its_zone_is_refused(moment):
    with pytest.raises(CommandError, match="Write date, time and time zone"):
        call_command("proof", "at", moment)
