"""Steering: hold, resume, evaluate now and drills, each refused in one sentence and traced."""

from __future__ import annotations

import pytest

from lealife.core.actors import command_line
from lealife.core.errors import GateRefused
from promotion.candidates.windows import current_window, read_window
from promotion.models import Evaluation, GateDrill
from promotion.steering import evaluate_now, hold_promotion, request_drill, resume_promotion
from tests.promotion.scenes import change_settings, make_base_tags, make_window
from tests.promotion.test_windows import ingest
from training.models import AuditEntry, RuntimeSettingsChange
from training.runtime_settings import read_settings

ME = {"by": command_line("ada"), "origin": "tests"}


def read_actions() -> list[str]:
    return list(AuditEntry.objects.order_by("id").values_list("action", flat=True))


def test_hold_and_resume_set_the_one_setting_and_leave_their_trace(db):
    hold_promotion(**ME, reason="The site is being rebuilt.")
    assert read_settings().promotion_hold
    assert read_window().state == "held"
    resume_promotion(**ME)
    assert not read_settings().promotion_hold
    assert read_actions() == ["hold promotion", "resume promotion"]
    assert AuditEntry.objects.earliest("id").details == {"reason": "The site is being rebuilt."}
    assert [change.changed_by for change in RuntimeSettingsChange.objects.all()] == ["ada", "ada"]


def test_holding_twice_and_resuming_what_is_not_held_are_refused(db):
    with pytest.raises(GateRefused, match="not on hold"):
        resume_promotion(**ME)
    hold_promotion(**ME)
    with pytest.raises(GateRefused, match="already on hold"):
        hold_promotion(**ME)
    assert RuntimeSettingsChange.objects.count() == 1


def test_evaluate_now_closes_the_window_early_and_the_next_starts_there(host):
    change_settings(window_size=30)
    ingest(host, "+-+-")
    window = evaluate_now(**ME)
    assert (window.state, window.size, window.attempts) == ("building", 2, 3)
    assert AuditEntry.objects.get().details == {"successes": 2, "wanted": 30}
    window.state = "rejected"
    window.save(update_fields=["state"])
    following = current_window()
    assert (following.watermark, following.attempts_before, following.size) == (2, 3, 30)


def test_evaluate_now_without_a_success_is_refused(host):
    ingest(host, "--")
    with pytest.raises(GateRefused, match="nothing to learn from"):
        evaluate_now(**ME)
    assert current_window().state == "collecting"


def test_evaluate_now_past_collecting_is_refused(host):
    make_window("canary")
    with pytest.raises(GateRefused, match="no longer collects outcomes: it is canary"):
        evaluate_now(**ME)


def test_on_hold_nothing_is_moved_on(host, servers):
    make_base_tags(servers)
    ingest(host, "+")
    hold_promotion(**ME)
    for action in (evaluate_now, request_drill):
        with pytest.raises(GateRefused, match="resume it first"):
            action(**ME)


def test_a_drill_is_requested_once_and_is_no_evaluation_of_a_candidate(db, servers):
    with pytest.raises(GateRefused, match="no active controller tag"):
        request_drill(**ME)
    make_base_tags(servers)
    assert [drill.kind for drill in request_drill(**ME)] == ["clone", "sabotaged"]
    with pytest.raises(GateRefused, match="has not ended"):
        request_drill(**ME)
    assert GateDrill.objects.count() == 2
    assert not Evaluation.objects.exists()
    assert read_actions() == ["request gate drill"]
