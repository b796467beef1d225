"""`manage.py chaos`: kills workers at random moments in a world of its own, and audits what is left."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lealife.chaos.world import COORDINATOR_LEASE_S, RUN_LEASE_S, make_database
from lealife.lib.places import BASE_DIR
from lealife.management.commands.bench import as_table
from promotion.simulation import Claim


def read_count(text: str) -> int:
    """A whole number from 1 to 100,000."""
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise ArgumentTypeError(f"{text!r} is no whole number from 1 to 100,000")
    return int(text)


class Command(BaseCommand):
    help = (
        "Kills workers and coordinators at random moments under load, on a database and on stub servers of its own, "
        "then checks that nothing was lost, doubled or left open. Fails when something was."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--kills", type=read_count, default=200, help="How many SIGKILLs.")
        parser.add_argument("--workers", type=read_count, default=6, help="Worker processes at a time.")
        parser.add_argument("--seed", type=int, help="Of whom is killed and when; a random one when left out.")
        parser.add_argument("--json", action="store_true", help="One line a claim instead of a table.")

    def handle(self, *args: Any, **options: Any) -> None:
        seed = random.SystemRandom().randrange(2**31) if options["seed"] is None else options["seed"]
        console = Console(stderr=True)
        console.print(f"Seed {seed}.")
        arguments = [f"--kills={options['kills']}", f"--workers={options['workers']}", f"--seed={seed}"]
        try:
            with make_database(os.environ["DATABASE_URL"]) as url, show_progress(console, options["kills"]) as show:
                claims = self.run_arena(arguments, url=url, show=show)
        except psycopg.Error as error:
            raise CommandError(f"No database of its own could be made: {error}") from error
        if options["json"]:
            for claim in claims:
                self.stdout.write(json.dumps(asdict(claim), ensure_ascii=False))
        else:
            Console().print(as_table(claims))
        failed = [claim.claim for claim in claims if not claim.holds]
        if failed:
            raise CommandError(f"Does not hold: {'; '.join(failed)}. Seed {seed}.")

    def run_arena(self, arguments: list[str], *, url: str, show: Any) -> list[Claim]:
        """The arena in a process of its own, which reads its short leases when it starts."""
        environment = {
            "LOG_LEVEL": "ERROR",
            **os.environ,
            "DATABASE_URL": url,
            "LEALIFE_RUN_LEASE_S": str(RUN_LEASE_S),
            "LEALIFE_COORDINATOR_LEASE_S": str(COORDINATOR_LEASE_S),
        }
        command = [sys.executable, "-m", "lealife.chaos", *arguments]
        claims: list[Claim] = []
        with subprocess.Popen(  # noqa: S603  our own module
            command, cwd=BASE_DIR, env=environment, stdout=subprocess.PIPE, text=True
        ) as arena:
            try:
                for line in arena.stdout or ():
                    told = json.loads(line)
                    claims = [Claim(**claim) for claim in told.get("claims", [])]
                    show(told)
            except BaseException:
                # Its children look whether it is still there, and follow it.
                arena.kill()
                raise
        if arena.returncode or not claims:
            raise CommandError(f"The arena broke with exit code {arena.returncode}.")
        return claims


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
