"""Kept queries: a queryset that is asked again and again, compiled once and prepared on the server.

For a query that reads a few rows by index, writing its SQL costs more than running it. A kept one is written at its
first use; each use after that binds its parameters, runs the prepared statement and loads rows as the queryset
would. Not for a queryset with `prefetch_related`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from psycopg.sql import quote

from lealife.core.statements import run_statement

Row = TypeVar("Row")


class _Named(str):
    """Stands in the compiled query's parameters for the value that is given by this name."""


class Parameter(RawSQL):
    """A value inside a kept query that is given at each read, by name; `kind` is its Postgres type.

    `within` is the SQL that it stands in, with `{}` in its place; only text of our own.
    """

    def __init__(self, name: str, kind: str, *, within: str = "{}") -> None:
        super().__init__(within.format(f"%s::{kind}"), (_Named(name),))


class KeptQuery(Generic[Row]):
    """`make` returns the queryset; it must not depend on anything that changes.

    What does change is written as a `Parameter` inside it and given by name to `read`.
    """

    def __init__(self, make: Callable[[], QuerySet[Any, Row]]) -> None:
        self._make = make
        self._kept: tuple[QuerySet[Any, Row], Any, str] | None = None

    def read(self, **given: Any) -> list[Row]:
        """The rows, as the queryset loads them. One query."""
        queryset, compiler, sql = self._kept or self._keep()
        # A copy a read: a compiler belongs to the connection of its thread.
        mine = copy.copy(compiler)
        mine.connection = connections[DEFAULT_DB_ALIAS]
        mine.execute_sql = lambda **_: [run_statement(sql, given)]
        asked = queryset._chain()
        asked.query.get_compiler = lambda **_: mine
        return list(asked)

    def read_first(self, **given: Any) -> Row | None:
        """The first of the rows; None without any."""
        return next(iter(self.read(**given)), None)

    def _keep(self) -> tuple[QuerySet[Any, Row], Any, str]:
        queryset = self._make()
        compiler = queryset.query.get_compiler(using=DEFAULT_DB_ALIAS)
        text, values = compiler.as_sql()
        database = connections[DEFAULT_DB_ALIAS]
        database.ensure_connection()
        # Constants are written out: a plan made for any value could use no partial index.
        parts = [
            f"%({value})s" if isinstance(value, _Named) else quote(value, database.connection).replace("%", "%%")
            for value in values
        ]
        self._kept = queryset, compiler, text.replace("%%", "%%%%") % tuple(parts)
        return self._kept
