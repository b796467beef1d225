from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from lealife.core.gateway import ServerCheck
from lealife.health import derive_health, read_health
from lealife.model_health import ModelHealth, ModelProbe, Suspects, judge_servers
from training.coordinator import LoopState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def make_loop(state: str) -> LoopState:
    return LoopState(state != "stopped", state, f"The loop is {state}.", "", None, None, None, None, "")


def make_models(state: str) -> ModelHealth:
    return ModelHealth(state, (f"http://a is {state}.",) if state == "down" else ())


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
        loop=make_loop(loop),
        fresh_workers=workers,
        last_beat_at=None,
        models=make_models(ollama),
        queue_depth=3,
        now=NOW,
    )
    assert health.state == state
    assert health.reasons


def test_reason_without_workers_gives_minutes_of_silence_and_waiting_bells() -> None:
    health = derive_health(
        loop=make_loop("running"),
        fresh_workers=0,
        last_beat_at=NOW - timedelta(minutes=7),
        models=make_models("up"),
        queue_depth=4,
        now=NOW,
    )
    assert health.reasons == ("No worker has reported for 7 min, and 4 bells are waiting.",)


@pytest.mark.django_db
def test_a_system_that_never_ran_is_down_and_says_why() -> None:
    health = read_health(now=timezone.now())
    assert health.state == "down"
    assert health.reasons[0] == "No worker has reported yet."
    assert health.queue_depth == 0


def test_a_silent_ollama_delays_only_the_first_reader() -> None:
    answered = threading.Event()

    def ask(suspects: Suspects) -> ModelHealth:
        return ModelHealth("up" if answered.wait(5) else "down")

    probe = ModelProbe(ask)
    started = time.monotonic()
    assert probe.read().state == "unknown"
    assert time.monotonic() - started < 3
    again = time.monotonic()
    assert probe.read().state == "unknown"
    assert time.monotonic() - again < 0.5
    answered.set()
    deadline = time.monotonic() + 5
    while probe.read().state == "unknown" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert probe.read().state == "up"


def test_a_reader_after_a_long_silence_gets_an_answer() -> None:
    assert ModelProbe(lambda suspects: ModelHealth("up")).read().state == "up"


UP = ServerCheck("http://a", True, True)
AWAY = ServerCheck("http://b", False, False, "http://b cannot be reached. Start it.")
REFUSES = ServerCheck("http://b", True, False, "http://b has no model tiny. Run on that machine: ollama pull tiny")


@pytest.mark.parametrize(
    ("checks", "state", "reasons"),
    [
        ([UP], "up", ()),
        ([AWAY], "down", (AWAY.sentence,)),
        ([REFUSES], "down", (REFUSES.sentence,)),
        ([UP, AWAY], "up", ("1 of 2 model servers does not answer.", AWAY.sentence)),
        ([UP, REFUSES], "up", ("1 of 2 model servers cannot serve.", REFUSES.sentence)),
    ],
)
def test_one_server_that_serves_is_enough_and_the_others_are_named(checks, state, reasons) -> None:
    assert judge_servers(checks) == ModelHealth(state, reasons)


def test_a_server_that_is_lost_while_another_serves_degrades_health() -> None:
    health = derive_health(
        loop=make_loop("running"),
        fresh_workers=1,
        last_beat_at=None,
        models=judge_servers([UP, AWAY]),
        queue_depth=0,
        now=NOW,
    )
    assert (health.state, health.ollama) == ("degraded", "up")
    assert health.reasons == ("1 of 2 model servers does not answer.", AWAY.sentence)


@pytest.mark.django_db
def test_the_probes_answer_strangers() -> None:
    assert Client().get("/healthz").json() == {"status": "alive"}
    ready = Client().get("/readyz")
    assert ready.status_code == 200
    assert (ready.json()["database"], ready.json()["migrations"]) == ("up", "applied")
