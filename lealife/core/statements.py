"""Statements of the hot path: parsed and planned by the server once a connection, then only run.

Django binds parameters on the client, so that the server plans every statement anew, and psycopg waits for an answer
in Python. For a claim or a finish both cost more than the statement itself. Here libpq waits. A signal's handler
therefore runs when the statement has ended: these statements are short. Only where BEGIN or COMMIT travels with a
statement is the wait Python's. What is prepared here still passes Django's execute wrappers, when there are any, and
its error translation.
"""

from __future__ import annotations

import json
import re
import select
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections, models
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, PGresult, TransactionStatus

# Every row is looked up by an index, whatever the statistics say of the tables: a plan is made once and then kept,
# and the first one is made when the tables are empty.
_STEADY = "SELECT " + ", ".join(
    f"set_config('{name}', 'off', true)" for name in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit")
)
_RELAXED = f"{_STEADY}, set_config('synchronous_commit', 'off', true)"
_NAMED = re.compile(r"%\((\w+)\)s")

Row = tuple[Any, ...]
Statement = tuple[str, Mapping[str, Any]]


def run_statement(sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
    """Runs a statement, its `%(name)s` parameters bound by the server; returns its rows, if any.

    A parameter whose type does not follow from where it stands needs a cast.
    """
    # Once, because looking through Django's proxy costs more than all that is asked of it here.
    database = connections[DEFAULT_DB_ALIAS]
    if _is_watched(database):
        return _run_watched(database, sql, parameters or {})
    _connect(database)
    database.validate_no_broken_transaction()
    with database.wrap_database_errors:
        return _open_session(database).run(sql, parameters or {})


def run_steadily(*statements: Statement, relaxed: bool = False) -> Any:
    """Begins a transaction's work: runs statements that return rows, all planned by index alone.

    They run one after the other, each seeing what was committed before it began. Returns the rows of each, of a
    single one its rows. `relaxed` lets the transaction commit without waiting for the disk. For what may be done
    again after a crash of Postgres itself: the write-ahead log is in order, so a later commit that waits brings this
    one with it, and a crash takes the end only.
    """
    run_statement(_RELAXED if relaxed else _STEADY)
    found = [run_statement(*statement) for statement in statements]
    return found if len(found) > 1 else found[0]


@contextmanager
def brief_transaction() -> Iterator[None]:
    """A transaction of a few statements, the first of them one of this module's; within another one, a part of it.

    Half as dear as Django's, which does not know of it: what is done inside may not open another, and what is to
    happen after the commit stands behind it. BEGIN travels with the first statement, COMMIT with one that is given
    to `run_last`. An error takes everything back, and within another transaction must end that too.
    """
    database = connections[DEFAULT_DB_ALIAS]
    if database.in_atomic_block:
        yield
        return
    _connect(database)
    link, session = database.connection, _open_session(database)
    if _is_watched(database):
        run_statement("BEGIN")
    else:
        session.begins = True
    try:
        yield
        if session.begins:
            raise RuntimeError("A brief transaction must begin with a statement of this module's.")
        if link.pgconn.transaction_status != TransactionStatus.IDLE:
            run_statement("COMMIT")
    except BaseException:
        if not link.closed:
            link.rollback()
        raise
    finally:
        session.begins = False


def run_last(sql: str, parameters: Mapping[str, Any]) -> list[Row]:
    """The last statement of a brief transaction: what `run_statement` does, and the commit in the same round trip."""
    database = connections[DEFAULT_DB_ALIAS]
    if database.in_atomic_block or _is_watched(database):
        return run_statement(sql, parameters)
    with database.wrap_database_errors:
        return _open_session(database).run(sql, parameters, commits=True)


def _connect(database: Any) -> None:
    # A connection that broke under a statement is still there for Django until a request or a task ends.
    if database.connection is not None and database.connection.closed and not database.in_atomic_block:
        database.close()
    database.ensure_connection()


def _is_watched(database: Any) -> bool:
    return bool(database.execute_wrappers or database.queries_logged)


def _run_watched(database: Any, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
    _connect(database)
    cursor = psycopg.Cursor(database.connection)
    wrapped = database.make_debug_cursor(cursor) if database.queries_logged else database.make_cursor(cursor)
    with wrapped:
        wrapped.execute(sql, parameters)
        return wrapped.fetchall() if wrapped.description else []


class _Session:
    """A connection and what has been prepared on it."""

    def __init__(self, link: psycopg.Connection[Any]) -> None:
        self.link = link
        self._server = link.pgconn
        self._transformer = Transformer(link)
        self._prepared: dict[str, tuple[bytes, list[str]]] = {}
        self.begins = False  # whether BEGIN is to travel with the next statement
        self._socket = select.poll()
        self._socket.register(link.fileno(), select.POLLIN)

    def run(self, sql: str, parameters: Mapping[str, Any], *, commits: bool = False) -> list[Row]:
        """Runs a statement, which is prepared when it is met first, and commits when asked to; returns its rows."""
        name, order = self._prepared.get(sql) or self._prepare(sql)
        values = self._transformer.dump_sequence([parameters[each] for each in order], [PyFormat.TEXT] * len(order))
        idle = self._server.transaction_status == TransactionStatus.IDLE
        begins, self.begins = idle and (self.begins or not self.link.autocommit), False
        if begins or commits:
            result = self._run_together(name, values, begins=begins, commits=commits)
        else:
            result = self._check(self._server.exec_prepared(name, values))
        if result.status != ExecStatus.TUPLES_OK:
            return []
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    def _run_together(self, name: bytes, values: Sequence[Any], *, begins: bool, commits: bool) -> PGresult:
        """BEGIN, the statement and COMMIT in one round trip; the server skips what follows an error."""
        try:
            results = self._send_together(name, values, begins=begins, commits=commits)
        except BaseException:
            # Left in between, the connection is of no more use; the server takes back what was not committed.
            self.link.close()
            raise
        for result in results:
            self._check(result)
        return results[int(begins)]

    def _send_together(self, name: bytes, values: Sequence[Any], *, begins: bool, commits: bool) -> list[PGresult]:
        server = self._server
        server.enter_pipeline_mode()
        if begins:
            server.send_query_params(b"BEGIN", None)
        server.send_query_prepared(name, values)
        if commits:
            server.send_query_params(b"COMMIT", None)
        server.pipeline_sync()
        results: list[PGresult] = []
        while True:
            result = self._wait_for_result()
            if result is not None and result.status == ExecStatus.PIPELINE_SYNC:
                server.exit_pipeline_mode()
                return results
            if result is not None:
                results.append(result)
            if server.status == ConnStatus.BAD:
                # The last one may hold what the server said before it hung up. Without an answer to COMMIT nobody
                # knows whether it was done: never a success.
                for answered in results:
                    self._check(answered)
                raise psycopg.OperationalError("the connection is lost")

    def _wait_for_result(self) -> PGresult | None:
        # Waiting in libpq for a result would hold the interpreter's lock, and with it whoever is waited for. The
        # socket takes only so much at once: what it did not take is sent when it is ready for more.
        with suppress(psycopg.OperationalError):
            while (unsent := self._server.flush()) or self._server.is_busy():
                self._socket.modify(self.link.fileno(), select.POLLIN | (select.POLLOUT if unsent else 0))
                self._socket.poll()
                self._server.consume_input()
        return self._server.get_result()

    def _prepare(self, sql: str) -> tuple[bytes, list[str]]:
        name, order = b"lealife_%d" % len(self._prepared), list(dict.fromkeys(_NAMED.findall(sql)))
        numbered = _NAMED.sub(lambda match: f"${order.index(match[1]) + 1}", sql).replace("%%", "%")
        self._check(self._server.prepare(name, numbered.encode()))
        self._prepared[sql] = name, order
        return name, order

    def _check(self, result: PGresult) -> PGresult:
        if result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            return result
        if self._server.status == ConnStatus.BAD:
            raise psycopg.OperationalError(f"the connection is lost: {result.get_error_message()}")
        raise error_from_result(result)


# One for each thread's connection as Django keeps it; a session holds on to the link that it was opened on.
_sessions: WeakKeyDictionary[Any, _Session] = WeakKeyDictionary()


def _open_session(database: Any) -> _Session:
    session = _sessions.get(database)
    if session is None or session.link is not database.connection:
        session = _sessions[database] = _Session(database.connection)
    return session


def write_insert(model: type[models.Model], source: str, /, **columns: str) -> str:
    """SQL of `INSERT INTO … SELECT … <source>` for a model: `columns` are SQL, all others take the model's default.

    A column with a default of the database's own is left to it. Text is written once, at import: a new column of
    the model joins every statement by itself. Not for models whose defaults are computed per row, or `auto_now`.
    """
    values = dict(columns)
    for field in model._meta.concrete_fields:
        if field.column not in values and not field.primary_key and not field.has_db_default():
            values[field.column] = _write_literal(field.get_default())
    return f"INSERT INTO {model._meta.db_table} ({', '.join(values)}) SELECT {', '.join(values.values())} {source}"


def _write_literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | int | float):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value)
    return "'" + str(text).replace("'", "''").replace("%", "%%") + "'"
