"""`manage.py curriculum check`: samples tasks of each kind, and searches in another way whether one page is right."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from learning.curriculum.checking import SEED, Checked, check_host
from training.models import Host


class Command(BaseCommand):
    """Reads only."""

    help = "Checks by a plain search of the kept pages whether tasks of the curriculum have exactly one right page."

    def add_arguments(self, parser: ArgumentParser) -> None:
        check = parser.add_subparsers(dest="word", required=True).add_parser("check", help="Check a sample of tasks.")
        check.add_argument("--host", default="", help="Only this host; all when left out.")
        check.add_argument("--sample", type=int, default=50, help="How many tasks of each kind and host.")
        check.add_argument("--seed", type=int, default=SEED, help="Which tasks are drawn.")
        check.add_argument("--json", action="store_true", help="A line of JSON a task instead of a share a kind.")

    def handle(self, *, word: str, **options: Any) -> None:
        """Prints the share of each kind and every task that does not hold."""
        hosts = Host.objects.order_by("name")
        if options["host"]:
            hosts = hosts.filter(name=options["host"])
            if not hosts.exists():
                raise CommandError(f"There is no host {options['host']}.")
        if options["sample"] < 1:
            raise CommandError("A sample has at least one task.")
        for host in hosts:
            checked = list(check_host(host, sample=options["sample"], seed=options["seed"]))
            if options["json"]:
                for each in checked:
                    line = {"host": host.name, **asdict(each), "is_unique": each.is_unique}
                    self.stdout.write(json.dumps(line, ensure_ascii=False))
            else:
                self.write_shares(host, checked)

    def write_shares(self, host: Host, checked: list[Checked]) -> None:
        """A line a kind, and under it the tasks that have no page or several."""
        if not checked:
            self.stdout.write(f"{host.name}: no tasks yet.")
        for kind in dict.fromkeys(each.kind for each in checked):
            of_kind = [each for each in checked if each.kind == kind]
            right = sum(each.is_unique for each in of_kind)
            self.stdout.write(f"{host.name}, {kind}: {right} of {len(of_kind)} have exactly one right page.")
            for each in of_kind:
                if not each.is_unique:
                    found = ", ".join(each.right_urls) or "no page"
                    self.stdout.write(f"  task {each.task_id}: {each.prompt} Right are: {found}.")
