"""What the product's guards of evidence refuse, done behind them: to empty the tables, and to make up a history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.backends.postgresql.operations import DatabaseOperations

from training.anchors import anchor_file


def allow_flush() -> None:
    """Lets Django empty the tables between tests: triggers off for that transaction, which takes a superuser."""
    write = DatabaseOperations.sql_flush

    def write_behind_triggers(self: DatabaseOperations, *args: Any, **options: Any) -> list[str]:
        anchor_file().unlink(missing_ok=True)
        return ["SET LOCAL session_replication_role = replica", *write(self, *args, **options)]

    DatabaseOperations.sql_flush = write_behind_triggers


@contextmanager
def behind_guards() -> Iterator[None]:
    """Triggers off, foreign keys included, for what a superuser changes in here."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield
        cursor.execute("SET LOCAL session_replication_role = origin")
