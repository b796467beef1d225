"""A long history: finished cycles and runs under a lease, written past all triggers."""

from __future__ import annotations

import json
from typing import Any

from django.db import connection, models, transaction

from learning.models import MemoryItem, RunLearningOutcome
from training.counters import add_counts
from training.models import Run, TrainingCycle, TrainingOutcome, TrainingSource

TABLES = tuple(
    model._meta.db_table for model in (TrainingSource, Run, TrainingCycle, TrainingOutcome, RunLearningOutcome)
)


def _write_insert(model: type[models.Model], source: str, /, **columns: str) -> str:
    """SQL of `INSERT INTO … SELECT … <source>` for a model: `columns` are SQL, all others take the model's default.

    A column with a default of the database's own is left to it. Text is written once, at import: a new column of
    the model joins every statement by itself. Not for models whose defaults are computed per row, or `auto_now`.
    """
    values = dict(columns)
    for field in model._meta.concrete_fields:
        column = field.column or ""
        if column not in values and not field.primary_key and not field.has_db_default():
            values[column] = _write_literal(field.get_default())
    return f"INSERT INTO {model._meta.db_table} ({', '.join(values)}) SELECT {', '.join(values.values())} {source}"


def _write_literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | int | float):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value)
    return "'" + str(text).replace("'", "''").replace("%", "%%") + "'"


# Hosts take turns; the ids begin far above all that a benchmark makes itself.
_HOST = "(SELECT min(id) FROM training_host) + number %% (SELECT count(*) FROM training_host)"
_NUMBERS = "FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number"
_SAME = {"id": "number"}
_RUN = {
    **_SAME,
    "host_id": _HOST,
    "prompt": "'Which page says so?'",
    "pages_target": "3",
    "max_calls": "5",
    "fence": "2",
    "attempts": "1",
}
_CYCLES = (
    _write_insert(
        TrainingSource,
        _NUMBERS,
        **_SAME,
        title="'history'",
        prompt="'Which page says so?'",
        host_id=_HOST,
        queued_from="'bench'",
        queue_rank="number",
        status="'done'",
        claimed_at="now()",
    ),
    _write_insert(Run, _NUMBERS, **_RUN, lane="'training'", status="'succeeded'"),
    _write_insert(TrainingCycle, _NUMBERS, **_SAME, source_id="number", run_id="number", status="'succeeded'"),
)
_OUTCOMES = (
    _write_insert(
        TrainingOutcome,
        _NUMBERS,
        **_SAME,
        cycle_id="number",
        run_id="number",
        source_id="number",
        host_id=_HOST,
        lane="'training'",
        success="true",
        answer_state="'verified'",
        is_counted="true",
    ),
    _write_insert(RunLearningOutcome, _NUMBERS, **_SAME, outcome_id="number", success="true", is_counted="true"),
)
_LEASED = _write_insert(
    Run,
    _NUMBERS,
    **_RUN,
    lane="'standard'",
    status="'running'",
    claimed_by="'somebody'",
    lease_until="now() + interval '1 day'",
)
_MEMORY = _write_insert(
    MemoryItem,
    _NUMBERS,
    **_SAME,
    host_id=_HOST,
    kind="'page'",
    key="lpad(number::text, 64, '0')",
    status="'trusted'",
    url="'http://history.example/' || number",
    title="'Page ' || number",
    text="'What page ' || number || ' says.'",
    search="to_tsvector('simple', 'page ' || number || ' says')",
)
_SEQUENCE = "SELECT setval(pg_get_serial_sequence(%(table)s, 'id'), greatest(max(id), 1)) FROM {table}"
CHUNK = 100_000


def write_history(*, finished: int, leased: int) -> None:
    """Adds `finished` whole cycles and `leased` standard runs that are running; needs a superuser for its speed.

    The tables are analysed before, while they are small, and never again: the statistics are as stale as can be.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
            cursor.execute(f"ANALYZE {table}")
    for first in range(1, finished + 1, CHUNK):
        _write(_CYCLES + _OUTCOMES, first=first, last=min(first + CHUNK - 1, finished))
    _write((_LEASED,), first=finished + 1, last=finished + leased)
    with transaction.atomic(), connection.cursor() as cursor:
        add_counts(
            outcomes__success=finished,
            ingested__success=finished,
            ingested__verified=finished,
            open__standard=leased,
        )
        for table in TABLES:
            cursor.execute(_SEQUENCE.format(table=table), {"table": table})


def write_memory(items: int) -> None:
    """Adds so many trusted items to a memory that has none."""
    for first in range(1, items + 1, CHUNK):
        _write((_MEMORY,), first=first, last=min(first + CHUNK - 1, items))


def write_cycles(*, first: int, last: int) -> None:
    """Adds sources, runs and cycles with these numbers as ids, but no outcomes."""
    _write(_CYCLES, first=first, last=last)


def _write(statements: tuple[str, ...], *, first: int, last: int) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        # Neither foreign keys nor counting triggers: millions of rows in minutes.
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement, {"first": first, "last": last})
