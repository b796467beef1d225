"""The doctor says what is not well and what to do about it, and exits with an error then."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.utils import timezone

from lealife import doctor
from lealife.core.actors import command_line
from lealife.core.gateway import OllamaPool
from lealife.dashboard import probes
from lealife.doctor import judge_clock
from promotion.tags import ensure_base_tags
from tests.core.scripted_ollama import BASE, Scripted, run_scripted
from training.coordinator import start_training
from training.models import WorkerHeartbeat
from training.runtime_settings import apply_settings

pytestmark = pytest.mark.django_db(transaction=True)
GIB = 2**30


@pytest.fixture
def server(settings: LazySettings, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    """A model server with both first tags, on a machine with room on its disk."""
    settings.LEALIFE_EMBED_MODEL, settings.LEALIFE_BASE_MODEL = "", BASE
    set_free_bytes(monkeypatch, 5 * GIB)
    with run_scripted() as one:
        settings.OLLAMA_HOST = one.address
        ensure_base_tags(server=OllamaPool(hosts=[one.address]), base=BASE)
        yield one


def set_free_bytes(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    for module in (doctor, probes):
        monkeypatch.setattr(module, "read_free_bytes", lambda: free)


def examine() -> tuple[list[tuple[str, str, str]], str]:
    """What the command found, and its error."""
    out, error = io.StringIO(), ""
    try:
        call_command("doctor", "--json", stdout=out)
    except CommandError as failed:
        error = str(failed)
    found = [json.loads(line) for line in out.getvalue().splitlines()]
    return [(each["part"], each["state"], each["said"]) for each in found], error


def find(part: str) -> tuple[str, str]:
    """The state of a part, and all that was said of it."""
    found = [each for each in examine()[0] if each[0] == part]
    return found[0][1], " ".join(said for _, _, said in found)


def beat(*, ago: timedelta = timedelta(0)) -> None:
    WorkerHeartbeat.objects.create(name="one", last_beat_at=timezone.now() - ago)


def test_an_installation_that_is_well_passes(server: Scripted) -> None:
    beat()
    found, error = examine()
    assert error == ""
    assert [part for part, _, _ in found] == ["database", "clock", "tags", "system", "browser"]
    assert {state for _, state, _ in found} == {"well"}


def test_the_table_says_the_same_even_of_words_in_square_brackets(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat()
    monkeypatch.setattr(doctor, "find_unreadiness", lambda **_: "A server said [/inst] and [b].")
    out = io.StringIO()
    with pytest.raises(CommandError, match="Faults: database"):
        call_command("doctor", stdout=out)
    assert "[/inst] and [b]" in out.getvalue()


def test_workers_that_stopped_are_a_fault_with_a_remedy(server: Scripted) -> None:
    beat(ago=timedelta(hours=1))
    assert examine()[1] == "Faults: system."
    state, said = find("system")
    assert (state, "No worker has reported for 60 min" in said, "manage.py worker" in said) == ("fault", True, True)


def test_a_model_server_that_lists_its_tags_and_fails_in_a_chat_is_found(server: Scripted) -> None:
    beat()
    server.mood = "crashes"
    state, said = find("system")
    assert state == "fault"
    assert server.address in said


def test_a_coordinator_that_does_not_tick_is_a_warning(server: Scripted) -> None:
    beat()
    start_training(by=command_line("ada"), origin="tests")
    assert find("system") == ("warning", "Training is allowed, but no coordinator has ticked yet.")
    assert examine()[1] == ""


def test_missing_tags_and_models_are_faults(settings: LazySettings, transactional_db: None) -> None:
    settings.OLLAMA_HOST = ""
    assert examine()[1] == "Faults: tags, system."
    assert "set OLLAMA_HOST" in find("system")[1]


def test_a_chosen_browser_that_is_missing_is_a_fault(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    beat()
    apply_settings(changes={"browser_engine": "chromium"}, version=None, by=command_line("ada"), origin="tests")
    monkeypatch.setattr(doctor, "find_chromium", lambda: None)
    assert find("browser")[0] == "fault"
    monkeypatch.setattr(doctor, "find_chromium", lambda: "/usr/bin/chromium")
    assert find("browser") == ("well", "/usr/bin/chromium is installed.")


@pytest.mark.parametrize(
    ("free", "part", "state"), [(GIB // 100, "database", "fault"), (GIB // 2, "system", "warning")]
)
def test_a_full_disk_is_a_fault_and_a_scarce_one_a_warning(
    server: Scripted, monkeypatch: pytest.MonkeyPatch, free: int, part: str, state: str
) -> None:
    beat()
    set_free_bytes(monkeypatch, free)
    found, said = find(part)
    assert found == state
    assert "MiB are free" in said


def test_missing_migrations_are_a_fault_and_end_the_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "check_database", lambda: (True, False))
    found, error = examine()
    assert error == "Faults: database."
    assert [part for part, _, _ in found] == ["database"]
    assert "manage.py migrate" in found[0][2]


def test_a_database_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise DatabaseError("no route")

    monkeypatch.setattr(connection, "ensure_connection", refuse)
    found, error = examine()
    assert error == "Faults: database."
    assert "does not answer" in found[0][2]


@pytest.mark.parametrize(
    ("ahead_s", "state", "said"),
    [
        (0.5, "well", "agrees"),
        (3, "warning", "3 s ahead of"),
        (90, "fault", "90 s ahead of"),
        (-90, "fault", "90 s behind"),
    ],
)
def test_clocks_that_differ_are_named(ahead_s: float, state: str, said: str) -> None:
    there = timezone.now()
    before = there + timedelta(seconds=ahead_s)
    found = judge_clock(before=before, there=there, after=before)
    assert (found.state, said in found.said) == (state, True)


def test_a_slow_answer_is_no_difference_of_clocks() -> None:
    now = timezone.now()
    late = now + timedelta(seconds=20)
    assert judge_clock(before=now, there=now + timedelta(seconds=10), after=late).state == "well"
