"""`manage.py tags`: lists tags on the model servers, prunes unused ones, adopts changed digests, pulls base models."""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable
from dataclasses import asdict
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import filesizeformat
from rich.console import Console
from rich.table import Column, Table

from lealife.core.actors import command_line
from lealife.core.digest import short_digest
from lealife.core.errors import GateRefused
from lealife.core.gateway import ModelError
from lealife.management.commands.create_api_key import find_user
from lealife.pipeline.pool import get_pool
from promotion.adoption import adopt_tags
from promotion.inspection import Inspection, inspect_tags
from promotion.retention import PruningRow, plan_pruning, prune_tags
from promotion.tags import KEEP_TAGS


def read_keep(text: str) -> int:
    """A whole number, 0 allowed."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


class Command(BaseCommand):
    """`list` and `prune --dry-run` change nothing."""

    help = "Compares what the model servers have installed with what is registered, and prunes unused tags."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "word",
            nargs="?",
            choices=("list", "prune", "adopt", "pull"),
            default="list",
            help="list: what each server has; prune: delete what nothing refers to; adopt: accept the new digest of a "
            "tag whose content is the same; pull: have every server fetch a base model.",
        )
        parser.add_argument("model", nargs="?", default="", help="pull: the model's name.")
        parser.add_argument("--check", action="store_true", help="list: fail when a tag is missing or was made again.")
        parser.add_argument("--dry-run", action="store_true", help="prune: only show what would be deleted.")
        parser.add_argument(
            "--keep", type=read_keep, default=KEEP_TAGS, help="prune: how many of the newest tags to keep per role."
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON line per tag instead of a table.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Runs the action; a server that cannot be reached is reported in a sentence of its own."""
        try:
            getattr(self, f"handle_{options['word']}")(**options)
        except (ModelError, GateRefused) as error:
            raise CommandError(str(error)) from error

    def handle_list(self, *, check: bool, **options: Any) -> None:
        """Prints which tags are installed, foreign, missing or changed on each server."""
        inspection = inspect_tags(server=get_pool())
        self.write(inspection.findings, table=tabulate_findings(inspection), as_json=options["json"])
        faults = [finding.sentence for finding in inspection.alarms]
        faults += [f"{host} does not answer, so its tags are unknown." for host in inspection.away]
        if faults and check:
            raise CommandError("\n".join(faults))
        for sentence in faults:
            self.stderr.write(sentence)

    def handle_prune(self, *, dry_run: bool, keep: int, **options: Any) -> None:
        """Prunes and prints the results; with `dry_run` prints the plan only."""
        if dry_run:
            plan = plan_pruning(server=get_pool(), keep=keep)
            self.write(plan, table=tabulate_plan(plan), as_json=options["json"])
            return
        results = prune_tags(server=get_pool(), by=command_line(find_user()), origin="cli", keep=keep)
        pruned = sum(result.pruned for result in results)
        table = Table(name_tags(), "bytes", "result", title=f"{pruned} pruned")
        for result in results:
            table.add_row(result.tag, filesizeformat(result.bytes), result.sentence)
        self.write(results, table=table, as_json=options["json"])
        if stayed := [result.sentence for result in results if not result.pruned]:
            raise CommandError("\n".join(stayed))

    def handle_adopt(self, **options: Any) -> None:
        """Registers the servers' current digests for active tags whose content still matches their recipe."""
        for apply in adopt_tags(server=get_pool(), by=command_line(find_user()), origin="cli"):
            was, now = short_digest(apply.from_digest), short_digest(apply.to_digest)
            self.stdout.write(f"{apply.to_tag} serves as {apply.role} under {now} instead of {was}.")

    def handle_pull(self, *, model: str, **options: Any) -> None:
        if not model:
            raise CommandError("Say which model: manage.py tags pull MODEL")
        self.stdout.write(f"Fetching {model} …")
        get_pool().pull_model(model)
        self.stdout.write(f"{model} is on {', '.join(get_pool().hosts)}.")

    def write(self, rows: Iterable[Any], *, table: Table, as_json: bool) -> None:
        """The rows for a program, or the table for people."""
        if as_json:
            for row in rows:
                self.stdout.write(json.dumps(asdict(row), ensure_ascii=False))
        else:
            Console(file=cast("IO[str]", self.stdout)).print(table)


def name_tags() -> Column:
    """The column of tags. It is never cut: the names of one installation's tags differ only at their ends."""
    return Column("tag", no_wrap=True)


def tabulate_findings(inspection: Inspection) -> Table:
    """Findings for people."""
    table = Table("server", name_tags(), "state", "role", "status", "bytes", "what it is")
    for finding in inspection.findings:
        size = filesizeformat(finding.bytes)
        known = (finding.role or "–", finding.status or "unused")
        table.add_row(finding.server, finding.tag, finding.state, *known, size, finding.sentence)
    return table


def tabulate_plan(plan: Iterable[PruningRow]) -> Table:
    """The plan for people, with the bytes that would go; tags of one base share its weights on disk."""
    going = [row for row in plan if row.goes]
    total = filesizeformat(sum(row.bytes for row in going))
    table = Table(
        name_tags(), "role", "status", "bytes", "servers", "", "why",
        title=f"{len(going)} would be deleted, {total} as the servers report",
        caption="Tags of one base share its weights on disk. Deleting the last of them frees that space.",
    )  # fmt: skip
    for row in plan:
        verdict = "goes" if row.goes else "stays"
        size = filesizeformat(row.bytes)
        table.add_row(row.tag, row.role, row.status, size, str(row.servers), verdict, row.reason)
    return table
