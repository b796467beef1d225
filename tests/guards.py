"""What the product's guards of evidence refuse, done behind them: to empty the tables, and to make up a history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.core.management.commands import flush
from django.db import connection, transaction
from django.db.backends.postgresql.operations import DatabaseOperations

from training.anchors import anchor_file

# Rows that migrations make and tests only read. To make them again, as Django does, costs more than all the rest.
KEPT = {"django_content_type", "auth_permission"}


def allow_flush() -> None:
    """Lets Django empty the tables between tests: triggers off for that transaction, which takes a superuser.

    Rows are deleted, because TRUNCATE takes a lock and new files for each table, however few rows it has.
    """

    def write_deletes(self: DatabaseOperations, style: object, tables: Sequence[str], **options: object) -> list[str]:
        anchor_file().unlink(missing_ok=True)
        deletes = [f"DELETE FROM {self.quote_name(table)}" for table in tables if table not in KEPT]
        return ["SET LOCAL session_replication_role = replica", "; ".join(deletes)] if deletes else []

    DatabaseOperations.sql_flush = write_deletes
    flush.emit_post_migrate_signal = lambda *args, **options: None


@contextmanager
def behind_guards() -> Iterator[None]:
    """Triggers off, foreign keys included, for what a superuser changes in here."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield
        cursor.execute("SET LOCAL session_replication_role = origin")
