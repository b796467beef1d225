"""The speed of the claim: the product's full fair cycle beside plain transactions and other queues, in one run."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from benchmarks import peers
from benchmarks.cycles import measure_cycles, prepare_cycles
from benchmarks.database import open_database
from benchmarks.measurement import Measurement

ROUNDS = 5
PGBENCH_S = 3
ONE, BATCHED = 1, peers.BATCH


def measure_claims(*, rounds: int = ROUNDS, size: int = 4_000, workers: int = 4) -> list[Measurement]:
    """Runs each load once a round, one after the other; compares the medians. `size`: cycles of the batched load."""
    few = max(size // 5, 50)
    loads: dict[str, Callable[[], float]] = {
        "pgbench": lambda: peers.measure_pgbench(workers=workers, seconds=PGBENCH_S),
        "one": lambda: measure_cycles(count=few, workers=workers, batch=ONE),
        "procrastinate": lambda: peers.measure_procrastinate(count=few, workers=workers),
        "batched": lambda: measure_cycles(count=size, workers=workers, batch=BATCHED),
        "pgqueuer": lambda: peers.measure_pgqueuer(count=size, workers=workers),
        "awa": lambda: peers.measure_awa(count=size, workers=workers),
    }
    with open_database():
        prepare_cycles()
        for prepare in (
            peers.prepare_pgbench,
            peers.prepare_procrastinate,
            peers.prepare_pgqueuer,
            peers.prepare_awa,
        ):
            prepare()
        rates: dict[str, list[float]] = {name: [] for name in loads}
        for _ in range(rounds):
            for name, measure in loads.items():
                rates[name].append(measure())
    speed = {name: median(measured) for name, measured in rates.items()}
    setup = f"{workers} workers each, medians of {rounds} rounds in turn"
    return [
        _compare("one at a time, against pgbench -N", speed["one"], speed["pgbench"], bound=0.25, setup=setup),
        _compare("one at a time, against Procrastinate", speed["one"], speed["procrastinate"], bound=5.0, setup=setup),
        _compare("20 at a time, against PgQueuer", speed["batched"], speed["pgqueuer"], bound=1.0, setup=setup),
        _compare("20 at a time, against awa", speed["batched"], speed["awa"], bound=1.0, setup=setup),
    ]


def _compare(claim: str, ours: float, theirs: float, *, bound: float, setup: str) -> Measurement:
    return Measurement(
        claim=f"full fair cycles, {claim}",
        figure=round(ours / theirs, 3),
        bound=bound,
        unit="times",
        holds=ours / theirs >= bound,
        setup=f"{ours:.0f} against {theirs:.0f} a second; {setup}",
    )
