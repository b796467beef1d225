"""`manage.py bench NAME`: claims about the product, measured through its own code."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from promotion.simulation import Claim, run_claims


def measure_gate(options: dict[str, Any]) -> list[Claim]:
    """The gate's error rates and power, by simulation through the decision code."""
    return run_claims(seed=options["seed"], lifetimes=options["size"] or 10_000)


BENCHMARKS = {"gate": measure_gate}


class Command(BaseCommand):
    help = "Measures claims, prints a table, and fails when one does not hold."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", choices=sorted(BENCHMARKS))
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--size", type=int, default=0, help="Simulated lifetimes; 0 is the full size.")
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
