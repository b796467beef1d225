"""`manage.py bench NAME`: claims about the product, measured through its own code."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from lealife.benches.claims import measure_claims
from lealife.benches.counted import INSERTS, measure_counted
from lealife.benches.degradation import FINISHED, measure_degradation
from lealife.benches.prefix import PAIRS, measure_prefix
from lealife.benches.snapshot import LONG, measure_snapshots
from lealife.benches.sockets import SOCKETS, measure_sockets
from promotion.simulation import Claim, run_claims


def measure_gate(options: dict[str, Any]) -> list[Claim]:
    """The gate's error rates and power, by simulation through the decision code; size: lifetimes."""
    return run_claims(seed=options["seed"], lifetimes=options["size"] or 10_000)


def compare_claims(options: dict[str, Any]) -> list[Claim]:
    """Full cycles beside pgbench and other queues; size: cycles of one batched load."""
    return measure_claims(rounds=options["rounds"], workers=options["workers"], size=options["size"] or 4_000)


def compare_history(options: dict[str, Any]) -> list[Claim]:
    """Full cycles beside a long history; size: finished cycles in it."""
    finished = options["size"] or FINISHED
    return measure_degradation(finished=finished, leased=finished // 20, rounds=options["rounds"])


def compare_counted(options: dict[str, Any]) -> list[Claim]:
    """Counted against plain inserts; size: inserts of one client."""
    return measure_counted(inserts=options["size"] or INSERTS, rounds=options["rounds"])


def compare_snapshots(options: dict[str, Any]) -> list[Claim]:
    """Looks at the pages beside a short history and a long one; size: outcomes of the long one."""
    return measure_snapshots(finished=options["size"] or LONG, rounds=options["rounds"])


def watch_sockets(options: dict[str, Any]) -> list[Claim]:
    """Many sockets under a load of commits; size: sockets."""
    return measure_sockets(sockets=options["size"] or SOCKETS, rounds=options["rounds"])


def measure_prompts(options: dict[str, Any]) -> list[Claim]:
    """Two evaluations on the real model in one memory snapshot; size: pairs of each."""
    return measure_prefix(pairs=options["size"] or PAIRS)


BENCHMARKS = {
    "claims": compare_claims,
    "counted": compare_counted,
    "degradation": compare_history,
    "gate": measure_gate,
    "snapshot": compare_snapshots,
    "sockets": watch_sockets,
    "prefix": measure_prompts,
}


class Command(BaseCommand):
    help = "Measures claims, prints a table, and fails when one does not hold."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", choices=sorted(BENCHMARKS))
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--size", type=int, default=0, help="How much of the load; 0 is the full size.")
        parser.add_argument("--rounds", type=int, default=5, help="Loads are measured in turn so often.")
        parser.add_argument("--workers", type=int, default=os.cpu_count(), help="Processes of each load; one a core.")
        parser.add_argument("--json", action="store_true", help="One line a claim instead of a table.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            claims = BENCHMARKS[options["name"]](options)
        except RuntimeError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            for claim in claims:
                self.stdout.write(json.dumps(asdict(claim)))
        else:
            Console().print(as_table(claims))
        failed = [claim.claim for claim in claims if not claim.holds]
        if failed:
            raise CommandError(f"Does not hold: {'; '.join(failed)}.")


def as_table(claims: list[Claim]) -> Table:
    """The claims for people."""
    table = Table("claim", "figure", "bound", "holds", "setup")
    for claim in claims:
        unit = f" {claim.unit}" if claim.unit else ""
        table.add_row(
            claim.claim, f"{claim.figure:.4g}{unit}", f"{claim.bound:.4g}", "yes" if claim.holds else "NO", claim.setup
        )
    return table
