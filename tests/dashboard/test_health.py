from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from lealife.health import OllamaProbe, derive_health, read_health
from training.coordinator import LoopState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def make_loop(state: str) -> LoopState:
    return LoopState(state != "stopped", state, f"The loop is {state}.", "", None, None, None, None, "")


@pytest.mark.parametrize(
    ("loop", "workers", "ollama", "state"),
    [
        ("running", 2, "up", "healthy"),
        ("stopped", 2, "up", "healthy"),
        ("stalled", 2, "up", "degraded"),
        ("running", 0, "up", "down"),
        ("running", 2, "down", "down"),
        ("stalled", 2, "down", "down"),
        ("running", 2, "unknown", "unknown"),
        ("unknown", 2, "up", "unknown"),
        ("stalled", 2, "unknown", "degraded"),
    ],
)
def test_the_worst_signal_decides(loop: str, workers: int, ollama: str, state: str) -> None:
    health = derive_health(
        loop=make_loop(loop), fresh_workers=workers, last_beat_at=None, ollama=ollama, queue_depth=3, now=NOW
    )
    assert health.state == state
    assert health.reasons


def test_silence_of_the_workers_is_told_with_its_length_and_what_waits() -> None:
    health = derive_health(
        loop=make_loop("running"),
        fresh_workers=0,
        last_beat_at=NOW - timedelta(minutes=7),
        ollama="up",
        queue_depth=4,
        now=NOW,
    )
    assert health.reasons == ("No worker has reported for 7 min, 4 bells wait.",)


@pytest.mark.django_db
def test_a_system_that_never_ran_is_down_and_says_why() -> None:
    health = read_health(now=timezone.now())
    assert health.state == "down"
    assert health.reasons[0] == "No worker has reported yet."
    assert health.queue_depth == 0


def test_a_silent_ollama_holds_up_one_reader_for_a_moment_and_no_other() -> None:
    answered = threading.Event()

    def ask() -> bool:
        return answered.wait(5)

    probe = OllamaProbe(ask)
    started = time.monotonic()
    assert probe.read_state() == "unknown"
    assert time.monotonic() - started < 3
    again = time.monotonic()
    assert probe.read_state() == "unknown"
    assert time.monotonic() - again < 0.5
    answered.set()
    deadline = time.monotonic() + 5
    while probe.read_state() == "unknown" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert probe.read_state() == "up"


def test_a_reader_after_a_long_silence_gets_an_answer() -> None:
    assert OllamaProbe(lambda: True).read_state() == "up"


@pytest.mark.django_db
def test_the_probes_answer_strangers() -> None:
    assert Client().get("/healthz").json() == {"status": "alive"}
    ready = Client().get("/readyz")
    assert ready.status_code == 200
    assert (ready.json()["database"], ready.json()["migrations"]) == ("up", "applied")
