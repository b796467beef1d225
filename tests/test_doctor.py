"""The doctor names what is not well, says what to do, and fails then."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from django.utils import timezone

from lealife import doctor
from lealife.core.actors import command_line
from lealife.core.gateway import OllamaPool
from lealife.doctor import judge_clock
from promotion.tags import ensure_base_tags
from tests.core.scripted_ollama import BASE, Scripted, run_scripted
from training.models import WorkerHeartbeat
from training.runtime_settings import apply_settings

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(settings: LazySettings, transactional_db: None) -> Iterator[Scripted]:
    """A model server with both first tags."""
    settings.LEALIFE_EMBED_MODEL, settings.LEALIFE_BASE_MODEL = "", BASE
    with run_scripted() as one:
        settings.OLLAMA_HOST = one.address
        ensure_base_tags(server=OllamaPool(hosts=[one.address]), base=BASE)
        yield one


def examine() -> tuple[dict[str, dict[str, str]], str]:
    """What the command found, by part, and its error."""
    out, error = io.StringIO(), ""
    try:
        call_command("doctor", "--json", stdout=out)
    except CommandError as failed:
        error = str(failed)
    found = [json.loads(line) for line in out.getvalue().splitlines()]
    return {each["part"]: each for each in found}, error


def beat(*, ago: timedelta = timedelta(0)) -> None:
    WorkerHeartbeat.objects.create(name="one", last_beat_at=timezone.now() - ago)


def test_an_installation_that_is_well_passes(server: Scripted) -> None:
    beat()
    found, error = examine()
    assert error == ""
    assert {each["state"] for each in found.values()} == {"well"}
    assert list(found) == ["database", "disk", "clock", "workers", "training", "tags", "models", "browser"]


def test_the_table_says_the_same(server: Scripted) -> None:
    beat()
    out = io.StringIO()
    call_command("doctor", stdout=out)
    assert "It takes writes" in out.getvalue()


def test_workers_that_stopped_are_a_fault_with_a_remedy(server: Scripted) -> None:
    beat(ago=timedelta(hours=1))
    found, error = examine()
    assert error == "Not well: workers."
    assert "manage.py worker" in found["workers"]["said"]


def test_a_model_server_in_trouble_is_asked_and_named(server: Scripted) -> None:
    beat()
    server.mood = "crashes"
    server.tags.clear()
    found, error = examine()
    assert error == "Not well: models."
    assert server.address in found["models"]["said"]


def test_missing_tags_are_a_fault(settings: LazySettings, transactional_db: None) -> None:
    settings.OLLAMA_HOST = "http://127.0.0.1:9"
    found, error = examine()
    assert error == "Not well: workers, tags, models."
    assert found["tags"]["said"].startswith("There is no active controller and no active task tag.")


def test_a_chosen_browser_that_is_missing_is_a_fault(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    beat()
    apply_settings(changes={"browser_engine": "chromium"}, version=None, by=command_line("ada"), origin="tests")
    monkeypatch.setattr(doctor, "find_chromium", lambda: None)
    found, error = examine()
    assert error == "Not well: browser."
    assert "Install it" in found["browser"]["said"]


@pytest.mark.parametrize(("free", "state"), [(10 * 2**20, "fault"), (500 * 2**20, "warning"), (5_000 * 2**20, "well")])
def test_the_disk_is_judged_by_what_is_free(
    server: Scripted, monkeypatch: pytest.MonkeyPatch, free: int, state: str
) -> None:
    beat()
    monkeypatch.setattr(doctor, "read_free_bytes", lambda: free)
    assert examine()[0]["disk"]["state"] == state


def test_missing_migrations_are_a_fault_and_end_the_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_count_migrations", lambda: 2)
    found, error = examine()
    assert error == "Not well: database."
    assert found["database"]["said"] == "2 migrations are missing. Run: manage.py migrate"
    assert list(found) == ["database", "disk"]


def test_a_database_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import connection

    def refuse() -> None:
        raise DatabaseError("no route")

    monkeypatch.setattr(connection, "ensure_connection", refuse)
    found, error = examine()
    assert error == "Not well: database."
    assert found["database"]["said"].endswith("Check DATABASE_URL.")


@pytest.mark.parametrize(("seconds", "said"), [(0.5, "agrees"), (90, "90 s ahead of"), (-90, "90 s behind")])
def test_clocks_that_differ_are_named(seconds: float, said: str) -> None:
    now = timezone.now()
    assert said in judge_clock(here=now + timedelta(seconds=seconds), there=now).said
