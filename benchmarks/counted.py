"""What counting costs: outcomes inserted with their counter and without, by eight clients at once."""

from __future__ import annotations

import multiprocessing
import time
from statistics import median
from typing import Any

from django.db import connection, transaction

from benchmarks.cycles import prepare_cycles
from benchmarks.database import open_database
from benchmarks.history import write_cycles
from benchmarks.measurement import Measurement, at_least
from training.counters import add_counts
from training.models import Run, TrainingOutcome

CLIENTS, INSERTS, ROUNDS = 8, 400, 5
LEAST = 0.75
_processes = multiprocessing.get_context("fork")


def measure_counted(*, inserts: int = INSERTS, rounds: int = ROUNDS) -> list[Measurement]:
    """Inserts a second, counted ÷ plain, in turn; the median of the rounds' ratios."""
    with open_database():
        prepare_cycles()
        write_cycles(first=1, last=2 * rounds * CLIENTS * inserts)
        rates: dict[bool, list[float]] = {False: [], True: []}
        first = 1
        for _ in range(rounds):
            for is_counted, measured in rates.items():
                measured.append(_measure(is_counted, first=first, inserts=inserts))
                first += CLIENTS * inserts
    ratio = median(counted / plain for plain, counted in zip(*rates.values(), strict=True))
    plain, counted = (median(measured) for measured in rates.values())
    return [
        at_least(
            "an outcome is counted as it is inserted",
            ratio,
            LEAST,
            "of the speed of a plain insert",
            f"{CLIENTS} clients, {counted:.0f} counted against {plain:.0f} plain inserts/s, each a transaction, "
            f"median of {rounds} ratios taken in turn",
        )
    ]


def _measure(is_counted: bool, *, first: int, inserts: int) -> float:
    connection.close()
    ready, ended = _processes.Barrier(CLIENTS + 1), _processes.Barrier(CLIENTS + 1)
    children = [
        _processes.Process(
            target=_insert, args=(is_counted, first + place * inserts, inserts, ready, ended), daemon=True
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


def _insert(is_counted: bool, first: int, inserts: int, ready: Any, ended: Any) -> None:
    host_id = Run.objects.values_list("host_id", flat=True).get(pk=first)
    ready.wait(60)
    for run_id in range(first, first + inserts):
        with transaction.atomic():
            same = {"cycle_id": run_id, "run_id": run_id, "source_id": run_id, "host_id": host_id}
            TrainingOutcome.objects.create(**same, lane=Run.Lane.TRAINING, success=True)
            if is_counted:
                add_counts(outcomes__success=1)
    ended.wait(300)
    connection.close()
