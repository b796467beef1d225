"""The speed of the claim: the product's full fair cycle, by one process and by several."""

from __future__ import annotations

from statistics import median

from benchmarks.cycles import measure_cycles, prepare_cycles
from benchmarks.database import open_database
from benchmarks.measurement import Measurement, at_least

ROUNDS = 5
# Cycles a second that are enough: sixteen model servers make some thirty runs a second.
LEAST_ALONE, LEAST_TOGETHER = 60.0, 150.0


def measure_claims(*, rounds: int = ROUNDS, size: int = 1_000, workers: int = 4) -> list[Measurement]:
    """Runs both loads once a round, in turn; the medians. `size`: cycles of a load."""
    with open_database():
        prepare_cycles()
        rates: dict[int, list[float]] = {1: [], workers: []}
        for _ in range(rounds):
            for processes, measured in rates.items():
                measured.append(measure_cycles(count=size, workers=processes))
    return [
        _judge("one process", median(rates[1]), least=LEAST_ALONE, rounds=rounds),
        _judge(f"{workers} processes", median(rates[workers]), least=LEAST_TOGETHER, rounds=rounds),
    ]


def _judge(who: str, rate: float, *, least: float, rounds: int) -> Measurement:
    return at_least(
        f"full fair cycles, {who}",
        rate,
        least,
        "a second",
        f"claim and begin, finish, ingest: three transactions; median of {rounds} rounds in turn",
    )
