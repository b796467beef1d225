"""Statements of the hot path: BEGIN and COMMIT that travel with them, and what an error leaves behind."""

from __future__ import annotations

import select
import socket
from threading import Thread

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction

from lealife.core.announce import open_connection
from lealife.core.statements import brief_transaction, run_last, run_statement
from tests.factories import make_host, make_source
from training.models import AuditEntry, TrainingCycle, TrainingSource

pytestmark = pytest.mark.django_db(transaction=True)
WRITE = "INSERT INTO training_auditentry (actor, origin, action, subject, details) VALUES (%(by)s, 't', 'a', '', '{}')"
BROKEN = "SELECT 1 / %(by)s::int"


def is_idle() -> bool:
    """Whether the connection is outside of a transaction and works."""
    return run_statement("SELECT txid_current_if_assigned() IS NULL") == [(True,)] and not connection.in_atomic_block


def test_the_first_statement_begins_and_the_last_one_commits():
    with brief_transaction():
        run_statement(WRITE, {"by": "ada"})
        with open_connection() as other:
            assert other.execute("SELECT count(*) FROM training_auditentry").fetchone() == (0,)
        assert run_last("SELECT count(*) FROM training_auditentry WHERE actor = %(by)s", {"by": "ada"}) == [(1,)]
        with open_connection() as other:
            assert other.execute("SELECT count(*) FROM training_auditentry").fetchone() == (1,)
    assert is_idle()


def test_without_a_last_statement_the_end_of_the_block_commits():
    with brief_transaction():
        run_statement(WRITE, {"by": "ada"})
    assert (AuditEntry.objects.count(), is_idle()) == (1, True)


@pytest.mark.parametrize("run", [run_statement, run_last])
def test_an_error_takes_everything_back_and_leaves_a_connection_that_works(run):
    with pytest.raises(DatabaseError, match="division by zero"), brief_transaction():
        run_statement(WRITE, {"by": "ada"})
        run(BROKEN, {"by": "0"})
    assert (AuditEntry.objects.count(), is_idle()) == (0, True)


def test_an_error_of_the_first_statement_leaves_a_connection_that_works():
    with pytest.raises(DatabaseError, match="division by zero"), brief_transaction():
        run_statement(BROKEN, {"by": "0"})
    assert is_idle()


def test_what_only_the_commit_refuses_is_taken_back():
    source = make_source(make_host())
    cycle = "INSERT INTO training_trainingcycle (source_id, run_id, status, error_code, error) VALUES "
    with pytest.raises(IntegrityError, match="foreign key"), brief_transaction():
        run_statement("UPDATE training_trainingsource SET title = %(to)s RETURNING id", {"to": "changed"})
        run_last(f"{cycle} (%(source)s, 999, 'open', '', '')", {"source": source.pk})
    assert not TrainingCycle.objects.exists()
    assert (TrainingSource.objects.get().title, is_idle()) == (source.title, True)


@pytest.mark.parametrize("opened", [transaction.atomic, brief_transaction])
def test_a_first_statement_may_be_larger_than_what_a_socket_takes(opened):
    large = "x" * 30_000_000
    with opened():
        assert run_statement("SELECT length(%(text)s::text)", {"text": large}) == [(len(large),)]


@pytest.mark.parametrize("run", [run_statement, run_last])
def test_a_server_that_hangs_up_is_quoted_and_the_next_statement_connects_again(run):
    with pytest.raises(OperationalError, match="terminating connection"), brief_transaction():
        # Its own backend, so that the farewell is the answer.
        run("SELECT pg_terminate_backend(pg_backend_pid(), %(wait)s::bigint)", {"wait": 0})
    assert is_idle()


def test_a_lost_answer_to_commit_is_no_success(monkeypatch):
    given, listener = connection.settings_dict, socket.create_server(("127.0.0.1", 0))
    server = socket.socket(socket.AF_UNIX)
    server.connect(f"{given['HOST']}/.s.PGSQL.{given['PORT'] or 5432}")

    def pass_on() -> None:
        client, _ = listener.accept()
        with client, server:
            while ready := select.select([client, server], [], [], 10)[0]:
                for side, other in ((client, server), (server, client)):
                    data = side.recv(65_536) if side in ready else b""
                    if side is server and b"COMMIT\x00" in data:
                        # Up to the answer to the statement before: the server has done it, and nobody hears of it.
                        client.sendall(data[: data.index(b"C\x00\x00\x00\x0bCOMMIT\x00")])
                        return
                    other.sendall(data)

    with listener:
        Thread(target=pass_on, daemon=True).start()
        connection.close()
        with monkeypatch.context() as through:
            through.setitem(given, "HOST", "127.0.0.1")
            through.setitem(given, "PORT", str(listener.getsockname()[1]))
            with pytest.raises(OperationalError), brief_transaction():
                run_statement(WRITE, {"by": "ada"})
                run_last("SELECT count(*) FROM training_auditentry", {})
        connection.close()
    assert (AuditEntry.objects.count(), is_idle()) == (1, True)


def test_a_brief_transaction_that_begins_with_another_modules_statement_says_so():
    with pytest.raises(RuntimeError, match="must begin with"), brief_transaction():
        AuditEntry.objects.count()
    assert is_idle()
