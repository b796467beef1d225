"""The breaker: when the machine is broken, not the sources, picking pauses and no retry budget is spent."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.factories import make_outcome
from training.models import TrainingSource
from training.outcomes import BREAK_AFTER, BREAK_FOR, read_breaker

BROKEN = {"success": False, "error_code": "model_unavailable"}


def test_picking_pauses_after_a_row_of_runs_that_broke(host):
    for _ in range(BREAK_AFTER):
        assert read_breaker(now=timezone.now()) == ""
        make_outcome(host, **BROKEN)
    assert "model_unavailable" in read_breaker(now=timezone.now())


def test_picking_goes_on_after_a_while(host):
    for _ in range(BREAK_AFTER):
        make_outcome(host, **BROKEN)
    assert read_breaker(now=timezone.now() + BREAK_FOR + timedelta(seconds=1)) == ""


def test_a_clock_that_was_put_back_does_not_pause_for_as_long(host):
    for _ in range(BREAK_AFTER):
        make_outcome(host, **BROKEN)
    assert read_breaker(now=timezone.now() - timedelta(hours=6)) == ""


@pytest.mark.parametrize("last", [{"success": True}, {"success": False, "error_code": "budget_spent"}])
def test_a_run_that_did_not_break_ends_the_pause(host, last):
    for _ in range(BREAK_AFTER):
        make_outcome(host, **BROKEN)
    make_outcome(host, **last)
    assert read_breaker(now=timezone.now()) == ""


def test_a_source_is_not_blamed_for_a_missing_model(host):
    source = make_outcome(host, **BROKEN).source
    source.refresh_from_db()
    assert (source.status, source.failed_attempts) == (TrainingSource.Status.PENDING, 0)


def test_a_source_whose_last_attempt_failed_for_lack_of_a_model_keeps_that_attempt(host, settle):
    settle(retry_budget=1)
    source = make_outcome(host, **BROKEN).source
    source.refresh_from_db()
    assert source.status == TrainingSource.Status.PENDING
