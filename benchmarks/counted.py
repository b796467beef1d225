"""What counting costs: outcomes inserted with their counter and without, by eight clients at once."""

from __future__ import annotations

import multiprocessing
import time
from statistics import median
from typing import Any

from django.db import connection

from benchmarks.cycles import prepare_cycles
from benchmarks.database import open_database
from benchmarks.history import write_cycles
from benchmarks.measurement import Measurement
from lealife.core.statements import run_statement, write_insert
from training.counters import COUNT_ENDINGS
from training.models import TrainingOutcome

CLIENTS, INSERTS, ROUNDS = 8, 400, 5
LEAST = 0.75
_INSERT = write_insert(
    TrainingOutcome,
    "FROM training_run AS run WHERE run.id = %(run)s::bigint",
    cycle_id="run.id",
    run_id="run.id",
    source_id="run.id",
    host_id="run.host_id",
    lane="run.lane",
    success="true",
)
PLAIN = f"{_INSERT} RETURNING id"
COUNTED = f"""
    WITH outcome AS ({_INSERT} RETURNING success), {COUNT_ENDINGS.format(what="outcomes", rows="outcome")}
    SELECT count(*) FROM added
"""  # noqa: S608  constants of our own, and placeholders
_processes = multiprocessing.get_context("fork")


def measure_counted(*, inserts: int = INSERTS, rounds: int = ROUNDS) -> list[Measurement]:
    """Inserts a second, counted ÷ plain, in turn; the median of the rounds' ratios."""
    with open_database():
        prepare_cycles()
        write_cycles(first=1, last=2 * rounds * CLIENTS * inserts)
        rates: dict[str, list[float]] = {PLAIN: [], COUNTED: []}
        first = 1
        for _ in range(rounds):
            for statement, measured in rates.items():
                measured.append(_measure(statement, first=first, inserts=inserts))
                first += CLIENTS * inserts
    ratio = median(counted / plain for plain, counted in zip(*rates.values(), strict=True))
    plain, counted = (median(measured) for measured in rates.values())
    return [
        Measurement(
            claim="an outcome is counted as it is inserted",
            figure=round(ratio, 3),
            bound=LEAST,
            unit="of the speed of a plain insert",
            holds=ratio >= LEAST,
            setup=f"{CLIENTS} clients, {counted:.0f} counted against {plain:.0f} plain inserts/s, each a transaction, "
            f"median of {rounds} ratios taken in turn",
        )
    ]


def _measure(statement: str, *, first: int, inserts: int) -> float:
    connection.close()
    ready, ended = _processes.Barrier(CLIENTS + 1), _processes.Barrier(CLIENTS + 1)
    children = [
        _processes.Process(
            target=_insert, args=(statement, first + place * inserts, inserts, ready, ended), daemon=True
        )
        for place in range(CLIENTS)
    ]
    for child in children:
        child.start()
    ready.wait(60)
    started = time.monotonic()
    ended.wait(300)
    seconds = time.monotonic() - started
    for child in children:
        child.join(30)
    return CLIENTS * inserts / seconds


def _insert(statement: str, first: int, inserts: int, ready: Any, ended: Any) -> None:
    connection.ensure_connection()
    # As in the product: by index, whatever the statistics say.
    run_statement("SELECT set_config('enable_seqscan', 'off', false)")
    ready.wait(60)
    for run in range(first, first + inserts):
        run_statement(statement, {"run": run})
    ended.wait(300)
    connection.close()
