"""`python -m benchmarks chaos`: kills workers at random moments in a world of its own, and audits what is left."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.chaos.world import COORDINATOR_LEASE_S, RUN_LEASE_S, make_database
from benchmarks.measurement import DoesNotHold, Measurement
from lealife.core.places import BASE_DIR


def run_chaos(*, kills: int, workers: int, seed: int | None) -> tuple[int, list[Measurement]]:
    """Runs the arena in a process and a database of its own; returns the seed and what was found.

    Raises DoesNotHold when the arena breaks or no database can be made.
    """
    seed = random.SystemRandom().randrange(2**31) if seed is None else seed
    console = Console(stderr=True)
    console.print(f"Seed {seed}.")
    arguments = [f"--kills={kills}", f"--workers={workers}", f"--seed={seed}"]
    try:
        with make_database(os.environ["DATABASE_URL"]) as url, show_progress(console, kills) as show:
            return seed, run_arena(arguments, url=url, show=show)
    except psycopg.Error as error:
        raise DoesNotHold(f"No database of its own could be made: {error}") from error


def run_arena(arguments: list[str], *, url: str, show: Any) -> list[Measurement]:
    """The arena in a process of its own, which reads its short leases when it starts. Raises DoesNotHold."""
    environment = {
        "LOG_LEVEL": "ERROR",
        **os.environ,
        "DATABASE_URL": url,
        "LEALIFE_RUN_LEASE_S": str(RUN_LEASE_S),
        "LEALIFE_COORDINATOR_LEASE_S": str(COORDINATOR_LEASE_S),
    }
    command = [sys.executable, "-m", "benchmarks.chaos.process", *arguments]
    measurements: list[Measurement] = []
    with subprocess.Popen(  # noqa: S603  our own module
        command, cwd=BASE_DIR, env=environment, stdout=subprocess.PIPE, text=True
    ) as arena:
        try:
            for line in arena.stdout or ():
                event = json.loads(line)
                measurements = [Measurement(**one) for one in event.get("claims", [])]
                show(event)
        except BaseException:
            # Its children notice that it is gone, and end too.
            arena.kill()
            raise
    if arena.returncode or not measurements:
        raise DoesNotHold(f"The arena broke with exit code {arena.returncode}.")
    return measurements


@contextmanager
def show_progress(console: Console, kills: int) -> Iterator[Any]:
    """A bar of kills with what is going on now."""
    columns = (TextColumn("kills"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        bar = progress.add_task("", total=kills)

        def show(told: dict[str, Any]) -> None:
            if "state" in told:
                progress.update(bar, completed=told["kills"], description=told["state"])

        yield show
