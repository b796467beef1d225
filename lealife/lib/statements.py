"""Statements of the hot path: parsed and planned by the server once a connection, then only run.

Django binds parameters on the client, so that the server plans every statement anew. For a claim or a finish
that costs more than the statement itself. What is prepared here still passes Django's execute wrappers and
error translation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.utils import CursorWrapper

# Every row is looked up by an index, whatever the statistics say of the tables: a plan is made once and then kept,
# and the first one is made when the tables are empty.
_STEADY = ", ".join(
    f"set_config('{name}', 'off', true)" for name in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit")
)
_RELAXED = f"{_STEADY}, set_config('synchronous_commit', 'off', true)"
# Seen so often on a connection, a statement is prepared.
PREPARE_AFTER = 1

Row = tuple[Any, ...]
Statement = tuple[str, Mapping[str, Any]]


def run_statement(sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
    """Runs a statement, its `%(name)s` parameters bound by the server; returns its rows, if any."""
    with _open_cursor(_prepared()) as cursor:
        cursor.execute(sql, parameters or {})
        return cursor.fetchall() if cursor.description else []


def run_steadily(*statements: Statement, relaxed: bool = False) -> Any:
    """Begins a transaction's work: runs statements that return rows in one round trip, all planned by index alone.

    They run one after the other, each seeing what was committed before it began. Returns the rows of each, of a
    single one its rows. `relaxed` lets the transaction commit without waiting for the disk. For what may be done
    again after a crash of Postgres itself: the write-ahead log is in order, so a later commit that waits brings this
    one with it, and a crash takes the end only.
    """
    database = _prepared()
    link = database.connection
    cursors = [_open_cursor(database) for _ in statements]
    # Opening and closing the pipeline are not the cursors' errors to translate.
    with database.wrap_database_errors, link.pipeline():
        psycopg.Cursor(link).execute(f"SELECT {_RELAXED if relaxed else _STEADY}")
        for cursor, (sql, parameters) in zip(cursors, statements, strict=True):
            cursor.execute(sql, parameters)
        found = [cursor.fetchall() for cursor in cursors]
    return found if len(found) > 1 else found[0]


def _prepared() -> Any:
    # Once, because looking through Django's proxy costs more than all that is asked of it here.
    database = connections[DEFAULT_DB_ALIAS]
    database.ensure_connection()
    # Django switches preparing off, because its own cursors could not use it; ours is the only one that can.
    database.connection.prepare_threshold = PREPARE_AFTER
    return database


def _open_cursor(database: Any) -> CursorWrapper:
    cursor = psycopg.Cursor(database.connection)
    return database.make_debug_cursor(cursor) if database.queries_logged else database.make_cursor(cursor)


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
