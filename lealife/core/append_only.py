"""Append-only tables: triggers refuse updates, deletes and TRUNCATE to every user.

The one exception is a purge of memory, which says so with `SET LOCAL lealife.purging = 'on'` and may delete.
"""

from __future__ import annotations

from django.db.migrations import RunSQL


def create_guard() -> str:
    """SQL of the function that every guarded table's trigger calls."""
    return """
        CREATE FUNCTION lealife_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'learning_memoryevidence'
               AND current_setting('lealife.purging', true) = 'on' THEN
                RETURN OLD;
            END IF;
            RAISE EXCEPTION 'Table % is append-only: rows are added, never changed.', TG_TABLE_NAME
                USING ERRCODE = 'restrict_violation';
        END
        $$
    """


def drop_guard() -> str:
    """SQL that removes the function."""
    return "DROP FUNCTION lealife_refuse_change()"


def guard_tables(*tables: str) -> list[RunSQL]:
    """Migration operations that make `tables` append-only."""
    return [
        RunSQL(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION lealife_refuse_change()",
            f"DROP TRIGGER append_only ON {table}",
        )
        for table in tables
    ] + guard_truncate(*tables)


def guard_truncate(*tables: str) -> list[RunSQL]:
    """Migration operations that refuse TRUNCATE of `tables`: it fires no trigger of a row. Safe to repeat."""
    return [
        RunSQL(
            f"CREATE OR REPLACE TRIGGER no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION lealife_refuse_change()",
            f"DROP TRIGGER IF EXISTS no_truncate ON {table}",
        )
        for table in tables
    ]


def create_decided_guard() -> str:
    """SQL of the function that refuses what `guard_decided` forbids."""
    return """
        CREATE FUNCTION lealife_refuse_decided() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'Row % of % is evidence: what is decided, or was fixed at first, is never changed.',
                OLD.id, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
        END
        $$
    """


def guard_decided(table: str, *, refused: str) -> RunSQL:
    """Migration operation that forbids to delete rows of `table`, and updates where `refused` holds of OLD and NEW.

    TRUNCATE is refused too.
    """
    call = "FOR EACH ROW {when} EXECUTE FUNCTION lealife_refuse_decided()"
    [truncate] = guard_truncate(table)
    return RunSQL(
        f"CREATE TRIGGER kept BEFORE DELETE ON {table} {call.format(when='')};"
        f"CREATE TRIGGER decided BEFORE UPDATE ON {table} {call.format(when=f'WHEN ({refused})')}; {truncate.sql}",
        f"DROP TRIGGER kept ON {table}; DROP TRIGGER decided ON {table}; {truncate.reverse_sql}",
    )
