"""What a cycle costs with a long history, stale statistics and a snapshot that is held, against an empty database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from benchmarks.cycles import measure_cycles, prepare_cycles
from benchmarks.database import open_database, use_database
from benchmarks.history import write_history
from benchmarks.measurement import Measurement, at_most
from lealife.core.announce import open_connection
from training.models import RuntimeSettings

FINISHED, LEASED = 1_000_000, 50_000
CYCLES, ROUNDS = 300, 5
WORST = 0.30


def measure_degradation(*, finished: int = FINISHED, leased: int = LEASED, rounds: int = ROUNDS) -> list[Measurement]:
    """Cycles a second there and here in turn, medians of `rounds`."""
    with open_database() as empty:
        prepare_cycles()
        with open_database() as full:
            prepare_cycles()
            write_history(finished=finished, leased=leased)
            # Slots for the leased runs too: far beyond what the settings allow an operator.
            RuntimeSettings.objects.update(global_max_concurrent_runs=leased + 1000)
            rates = _take_turns(empty, full, rounds=rounds)
        use_database(empty)
    return [_judge(rates, finished=finished, leased=leased)]


def _take_turns(empty: str, full: str, *, rounds: int) -> list[tuple[float, float]]:
    rates: list[tuple[float, float]] = []
    for _ in range(rounds):
        use_database(empty)
        here = measure_cycles(count=CYCLES, workers=1)
        use_database(full)
        with _hold_snapshot():
            rates.append((here, measure_cycles(count=CYCLES, workers=1)))
    return rates


@contextmanager
def _hold_snapshot() -> Iterator[None]:
    """While it is open, no row version that is replaced can be cleaned away."""
    holder = open_connection()
    try:
        holder.execute("SET idle_in_transaction_session_timeout = 0")
        holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT count(*) FROM training_host")
        yield
    finally:
        holder.close()


def _judge(rates: list[tuple[float, float]], *, finished: int, leased: int) -> Measurement:
    here, there = (median(side) for side in zip(*rates, strict=True))
    lost = 1 - there / here
    return at_most(
        "cycles slow down with a long history",
        lost,
        WORST,
        "of the speed in an empty database",
        f"{finished:,} finished and {leased:,} leased rows, never vacuumed or analysed, an idle REPEATABLE READ "
        f"transaction held all through each {CYCLES:,} cycles; {here:.0f} against {there:.0f} cycles/s, medians "
        f"of {len(rates)} in turn, one worker",
    )
