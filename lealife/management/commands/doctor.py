"""`manage.py doctor`: looks at the parts of an installation and says what to do about each fault."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lealife.doctor import FAULT, examine


class Command(BaseCommand):
    """Runs without Django's own checks, which would ask the database first."""

    help = "Looks at database, disk, clock, tags, workers, training, model servers and browser; says what to do."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="One JSON line per finding instead of a table.")

    def handle(self, **options: Any) -> None:
        """Prints what was found. Raises CommandError when there is a fault."""
        findings = examine()
        if options["json"]:
            for finding in findings:
                self.stdout.write(json.dumps(asdict(finding), ensure_ascii=False))
        else:
            table = Table("part", "state", "what was found")
            for finding in findings:
                table.add_row(finding.part, finding.state, escape(finding.said))
            Console(file=cast("IO[str]", self.stdout)).print(table)
        faults = dict.fromkeys(finding.part for finding in findings if finding.state == FAULT)
        if faults:
            raise CommandError(f"Faults: {', '.join(faults)}.")
