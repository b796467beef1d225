"""`manage.py proof export|verify|at|verdict`: writes and checks proof bundles; shows what served when and why."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from lealife import __version__
from lealife.core.errors import Refused
from promotion.models import Role
from promotion.proof.bundle import BrokenBundle, verify_bundle
from promotion.proof.bundle_records import export_bundle
from promotion.proof.timeline import find_serving, rebuild_verdict


class Command(BaseCommand):
    """Reads only; `verify` touches neither database, network nor model."""

    help = "Exports and verifies proof bundles, shows which tags served when, and rebuilds verdicts from evidence."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        words = parser.add_subparsers(dest="word", required=True)
        words.add_parser("export", help="Write all evidence to FILE.").add_argument("file", type=Path)
        words.add_parser("verify", help="Check FILE without a database.").add_argument("file", type=Path)
        words.add_parser("at", help="Say what served at MOMENT, as 2026-11-24T01:00Z.").add_argument("moment")
        words.add_parser("verdict", help="Decide an evaluation again.").add_argument("evaluation", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints the answer; exits with an error when the proof does not hold."""
        try:
            getattr(self, f"handle_{options['word']}")(**options)
        except BrokenBundle as broken:
            raise CommandError(f"Broken: {broken}") from None
        except (Refused, OSError) as error:
            raise CommandError(str(error)) from None

    def handle_export(self, *, file: Path, **options: Any) -> None:
        """Writes the bundle, and checks what was written."""
        size = export_bundle(path=file, version=__version__, now=timezone.now())
        self.stdout.write(f"Wrote {file}, {size:,} bytes.")
        self.handle_verify(file=file)

    def handle_verify(self, *, file: Path, **options: Any) -> None:
        """Prints that the bundle is sound, or names its first faulty line."""
        with file.open("rb") as stream:
            self.stdout.write(verify_bundle(stream).sentence)

    def handle_at(self, *, moment: str, **options: Any) -> None:
        """Prints one sentence per role."""
        at = _read_moment(moment)
        for role in Role.values:
            self.stdout.write(find_serving(role=role, at=at).sentence)

    def handle_verdict(self, *, evaluation: int, **options: Any) -> None:
        """Prints the stored verdict and the one rebuilt from the evidence."""
        rebuilt = rebuild_verdict(evaluation)
        self.stdout.write(f"Stored:  {rebuilt.stored}. {rebuilt.stored_reason}")
        self.stdout.write(f"Rebuilt: {rebuilt.decision.verdict.value}. {rebuilt.decision.reason}")
        if rebuilt.fault:
            raise CommandError(f"Evaluation {evaluation}: {rebuilt.fault}.")
        if rebuilt.canary_fault:
            raise CommandError(f"Canary {rebuilt.canary_id}: {rebuilt.canary_fault}.")
        self.stdout.write("They agree.")


def _read_moment(text: str) -> datetime:
    try:
        at = parse_datetime(text)
    except ValueError:
        at = None
    if at is None or timezone.is_naive(at):
        raise CommandError(f"{text!r} is not a moment. Write date, time and time zone, for example 2026-11-24T01:00Z.")
    return at
