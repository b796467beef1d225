"""A long history: finished cycles and runs under a lease, written past all triggers."""

from __future__ import annotations

from django.db import connection, transaction

from lealife.core.statements import write_insert
from learning.models import RunLearningOutcome
from training.models import Run, TrainingCycle, TrainingOutcome, TrainingSource

TABLES = tuple(
    model._meta.db_table for model in (TrainingSource, Run, TrainingCycle, TrainingOutcome, RunLearningOutcome)
)
# Hosts take turns; the ids begin far above all that a benchmark makes itself.
_HOST = "(SELECT min(id) FROM training_host) + number %% (SELECT count(*) FROM training_host)"
_NUMBERS = "FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number"
_SAME = {"id": "number"}
_CYCLES = (
    write_insert(
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
    write_insert(
        Run,
        _NUMBERS,
        **_SAME,
        lane="'training'",
        status="'succeeded'",
        host_id=_HOST,
        prompt="'Which page says so?'",
        pages_target="3",
        max_calls="5",
        fence="2",
        attempts="1",
    ),
    write_insert(TrainingCycle, _NUMBERS, **_SAME, source_id="number", run_id="number", status="'succeeded'"),
)
_OUTCOMES = (
    write_insert(
        TrainingOutcome,
        _NUMBERS,
        **_SAME,
        cycle_id="number",
        run_id="number",
        source_id="number",
        host_id=_HOST,
        lane="'training'",
        success="true",
    ),
    write_insert(RunLearningOutcome, _NUMBERS, **_SAME, outcome_id="number", success="true"),
)
_LEASED = write_insert(
    Run,
    _NUMBERS,
    **_SAME,
    lane="'standard'",
    status="'running'",
    host_id=_HOST,
    prompt="'Which page says so?'",
    pages_target="3",
    max_calls="5",
    fence="2",
    attempts="1",
    claimed_by="'somebody'",
    lease_until="now() + interval '1 day'",
)
_COUNT = "SELECT training_add_count(%(name)s, %(amount)s)"
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
        for name, amount in (
            ("outcomes.success", finished),
            ("ingested.success", finished),
            ("open.standard", leased),
        ):
            cursor.execute(_COUNT, {"name": name, "amount": amount})
        for table in TABLES:
            cursor.execute(_SEQUENCE.format(table=table), {"table": table})


def write_cycles(*, first: int, last: int) -> None:
    """Adds sources, runs and cycles with these numbers as ids, but no outcomes."""
    _write(_CYCLES, first=first, last=last)


def _write(statements: tuple[str, ...], *, first: int, last: int) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        # Neither foreign keys nor counting triggers: millions of rows in minutes.
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement, {"first": first, "last": last})
