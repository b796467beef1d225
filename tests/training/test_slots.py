"""Slots: caps are never exceeded, however many workers race."""

from __future__ import annotations

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as some

from tests.factories import START, make_host, make_source
from training.claims import claim_next_source
from training.models import Run, RuntimeSettings
from training.runs import claim_queued_run, queue_run
from training.slots import count_slots, read_slots


@given(
    some.integers(0, 20),
    some.integers(1, 20),
    some.integers(0, 20),
    some.dictionaries(some.sampled_from(list(Run.Lane)), some.integers(0, 9)),
)
def test_free_slots_are_never_negative_and_never_past_a_cap(training_max, global_max, reserved, by_lane):
    row = RuntimeSettings(
        training_max_active_runs=training_max, global_max_concurrent_runs=global_max, reserved_control_slots=reserved
    )
    slots = count_slots(row=row, by_lane=by_lane)
    assert slots.free_for_control >= slots.free_for_training >= 0
    if slots.free_for_training:
        assert slots.running_total + slots.free_for_training <= global_max
        assert slots.running_training + slots.free_for_training <= min(training_max, max(0, global_max - reserved))


def test_everything_but_the_training_lane_counts_as_non_training():
    slots = count_slots(row=RuntimeSettings(), by_lane={"training": 1, "canary": 1, "standard": 1, "evaluation": 1})
    assert (slots.running_training, slots.running_non_training, slots.running_total) == (1, 3, 4)


def test_the_training_ceiling_is_the_global_cap_without_the_reserved_slots(settle):
    settle(training_max_active_runs=9, global_max_concurrent_runs=4, reserved_control_slots=1)
    assert read_slots().training_ceiling == 3


def test_reserved_slots_are_free_for_a_standard_run_when_training_has_reached_its_ceiling(settle):
    settle(training_max_active_runs=9, global_max_concurrent_runs=2, reserved_control_slots=1)
    for _ in range(2):
        make_source(make_host())
    assert claim_next_source(now=START) is not None
    assert claim_next_source(now=START) is None
    queue_run(lane="standard", prompt="Which?", host=make_host(), check_spec=None, pages_target=None, by="ada")
    assert claim_queued_run(now=START) is not None


def test_training_waits_while_other_runs_hold_every_slot(settle, host):
    settle(training_max_active_runs=2, global_max_concurrent_runs=1, reserved_control_slots=0)
    queue_run(lane="standard", prompt="Which?", host=host, check_spec=None, pages_target=None, by="ada")
    assert claim_queued_run(now=START) is not None
    make_source(make_host())
    assert claim_next_source(now=START) is None


def test_a_training_cap_of_nought_stops_picks(settle, host):
    settle(training_max_active_runs=0)
    make_source(host)
    assert claim_next_source(now=START) is None


@pytest.mark.parametrize(("training_max", "global_max", "reserved"), [(3, 5, 1), (4, 3, 1), (2, 4, 0)])
def test_racing_claims_never_exceed_the_caps(race, settle, training_max, global_max, reserved):
    settle(
        training_max_active_runs=training_max, global_max_concurrent_runs=global_max, reserved_control_slots=reserved
    )
    hosts = [make_host() for _ in range(8)]
    for host in hosts:
        make_source(host)
        queue_run(lane="standard", prompt="Which?", host=host, check_spec=None, pages_target=None, by="ada")

    def claim_both() -> None:
        for _ in range(3):
            claim_next_source(now=START)
            claim_queued_run(now=START)

    assert race(*[claim_both] * 5) == [None] * 5
    slots = read_slots()
    assert slots.running_training <= min(training_max, global_max - reserved)
    assert slots.running_total == global_max


def test_a_process_that_stops_in_the_middle_of_a_claim_does_not_hold_the_slot_lock_for_ever(db):
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("1min",)
