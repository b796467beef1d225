"""`DATABASE_URL` means what libpq says it means, or is refused in a sentence without its password."""

from __future__ import annotations

from urllib.parse import quote

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from lealife.core.environment import read_database


def read(monkeypatch: pytest.MonkeyPatch, url: str) -> dict[str, object]:
    monkeypatch.setenv("DATABASE_URL", url)
    return read_database("DATABASE_URL")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://%2Fvar%2Frun%2Fpostgresql/name", {"HOST": "/var/run/postgresql", "PORT": "", "NAME": "name"}),
        ("postgresql:///name?host=%2Fvar%2Frun", {"HOST": "/var/run", "NAME": "name"}),
        ("postgresql:///name?host=/var/run&port=6543", {"HOST": "/var/run", "PORT": "6543"}),
        ("postgresql://h1:5432,h2:5433/name", {"HOST": "h1,h2", "PORT": "5432,5433", "NAME": "name"}),
        ("postgresql://h1,h2/name", {"HOST": "h1,h2", "PORT": ","}),
        ("postgresql://[::1]:5/name", {"HOST": "::1", "PORT": "5"}),
        ("postgres://ada:p%40%2Fw@h/name", {"USER": "ada", "PASSWORD": "p@/w", "HOST": "h"}),
        ("postgresql://ada@h", {"NAME": "ada"}),
        ("postgresql://h/name?sslmode=require", {"OPTIONS": {"sslmode": "require"}}),
        ("postgresql://h/name?options=-c%20a%3Db", {"OPTIONS": {"options": "-c a=b"}}),
        ("postgresql://h/name?user=bob&password=x", {"USER": "bob", "PASSWORD": "x"}),
        ("postgresql:///?service=mine", {"NAME": "", "OPTIONS": {"service": "mine"}}),
    ],
)
def test_a_database_url_is_read_as_libpq_reads_it(monkeypatch, url, expected):
    found = read(monkeypatch, url)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "DATABASE_URL is not set"),
        ("mysql://ada:hunter2@h/name", "must start with postgresql:// or postgres://"),
        ("postgresql://ada:hunter2@h:port/name", "a port that is not a number"),
        ("postgresql://ada:hunter2/x@h/name", "a port that is not a number"),
        ("postgresql://ada:hunter2@h:70000/name", "a port that is not a number from 1 to 65535"),
        ("postgresql://ada:hunter2@h/name?colour=red", "invalid URI query parameter"),
        ("postgresql://ada:hunter2%zz@h/name", "invalid percent-encoded token"),
        ("postgresql://ada:x@hunter2@h/name", "more than one @"),
        ("postgresql://ada:hunter2@[::1/name", "cannot be read"),
        ("postgresql://ada:hunter2 too@h/name", "unexpected spaces found"),
    ],
)
def test_a_database_url_that_libpq_cannot_read_is_refused_without_its_password(monkeypatch, url, sentence):
    with pytest.raises(ImproperlyConfigured) as refused:
        read(monkeypatch, url)
    assert sentence in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_session_has_its_settings_without_a_startup_parameter(db):
    assert "options" not in connection.get_connection_params()
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("1min",)


def test_the_second_of_two_hosts_is_used_when_the_first_does_not_answer(monkeypatch, db):
    parts = connection.get_connection_params()
    url = f"postgresql://{parts['user']}@%2Fnowhere,{quote(parts['host'], safe='')}/{parts['dbname']}"
    found = read(monkeypatch, url)
    with psycopg.connect(dbname=found["NAME"], user=found["USER"], host=found["HOST"], port=found["PORT"]) as link:
        assert link.info.host == parts["host"]
