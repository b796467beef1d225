"""`manage.py doctor`: looks at every part of the installation and says what to do where one is not well."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from lealife.doctor import FAULT, examine


class Command(BaseCommand):
    """Changes nothing. Runs without Django's own checks, which would ask the database first."""

    help = "Looks at database, disk, clock, workers, training, tags, models and browser, and says what to do."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="A line of JSON a part instead of a table.")

    def handle(self, **options: Any) -> None:
        """Prints what was found; fails when a part has a fault."""
        findings = examine()
        if options["json"]:
            for finding in findings:
                self.stdout.write(json.dumps(asdict(finding), ensure_ascii=False))
        else:
            table = Table("part", "state", "what was found")
            for finding in findings:
                table.add_row(finding.part, finding.state, finding.said)
            Console(file=cast("IO[str]", self.stdout)).print(table)
        faults = [finding.part for finding in findings if finding.state == FAULT]
        if faults:
            raise CommandError(f"Not well: {', '.join(faults)}.")
