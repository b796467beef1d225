"""Heartbeats: what counts as work done just now, whatever the clock did."""

from __future__ import annotations

import pytest

from tests.factories import START, later
from training.heartbeats import beat, is_fresh, read_last_beat
from training.models import WorkerHeartbeat


@pytest.mark.parametrize(("seconds", "fresh"), [(0, True), (-90, True), (-91, False), (90, True), (3600, False)])
def test_a_beat_is_fresh_within_a_minute_and_a_half(seconds, fresh):
    assert is_fresh(later(seconds=seconds), now=START) is fresh


def test_a_worker_is_forgotten_after_an_hour_of_silence(db):
    beat(worker="gone", doing="", now=START)
    beat(worker="here", doing="execute", now=later(minutes=61))
    assert list(WorkerHeartbeat.objects.values_list("name", "doing")) == [("here", "execute")]


def test_beats_from_before_the_clock_was_put_back_are_no_sign_of_life(db):
    beat(worker="dead", doing="", now=later(hours=1))
    assert read_last_beat(now=START) is None
    beat(worker="alive", doing="", now=START)
    assert [worker.name for worker in WorkerHeartbeat.objects.all()] == ["alive"]
    assert read_last_beat(now=START) == START
