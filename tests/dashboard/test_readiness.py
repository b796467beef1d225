"""Readiness tells the truth: not ready while nothing can be written, and why."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection
from django.test import Client

from lealife import health, storage
from lealife.dashboard import probes
from tests.dashboard.test_health import NOW, make_loop, make_models


def ask() -> tuple[int, str]:
    answer = Client().get("/readyz")
    return answer.status_code, answer.json()["reason"]


@pytest.mark.django_db(transaction=True)
def test_a_database_that_takes_writes_is_ready_and_nothing_is_left_of_the_look():
    assert [ask() for _ in range(3)] == [(200, "")] * 3
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_ls_dir('pg_snapshots')")
        assert cursor.fetchone() == (0,)


@pytest.mark.django_db(transaction=True)
def test_a_read_only_database_is_not_ready():
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        try:
            assert ask() == (503, "The database is read-only: nothing can be written.")
        finally:
            cursor.execute("SET default_transaction_read_only = off")


@pytest.mark.django_db(transaction=True)
def test_a_database_whose_disk_is_full_is_not_ready():
    def refuse(execute, sql, *arguments):
        if "pg_export_snapshot" in sql:
            raise OperationalError("could not write to file: No space left on device")
        return execute(sql, *arguments)

    with connection.execute_wrapper(refuse):
        status, reason = ask()
    assert (status, "No space left on device" in reason) == (503, True)


@pytest.mark.django_db(transaction=True)
def test_a_silent_database_is_not_ready_and_its_address_is_not_shown(monkeypatch, caplog):
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "HOST", "/nowhere")
    assert ask() == (503, "The database does not answer. See the log for the reason.")
    assert "/nowhere" in caplog.text
    assert Client().get("/healthz").status_code == 200


@pytest.mark.django_db
def test_a_full_data_folder_is_not_ready(monkeypatch):
    monkeypatch.setattr(probes, "read_free_bytes", lambda: 3 * storage.MIB)
    status, reason = ask()
    assert status == 503
    assert reason.endswith("is full: 3 MiB are free.")


@pytest.mark.parametrize(
    ("free", "state", "words"),
    [
        (10 * storage.MIB, "down", "is full"),
        (500 * storage.MIB, "degraded", "almost full"),
        (10**12, "healthy", "2 w"),
    ],
)
def test_pages_name_a_disk_that_runs_full(free, state, words):
    found = health.derive_health(
        loop=make_loop("running"), fresh_workers=2, last_beat_at=None, models=make_models("up"), queue_depth=0, now=NOW,
        free_bytes=free,
    )  # fmt: skip
    assert found.state == state
    assert words in found.reasons[0]
