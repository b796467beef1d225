"""`manage.py promotion hold|resume|evaluate-now|drill|status`: the operator's actions, headless."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from lealife.core.actors import command_line
from lealife.core.errors import Refused
from lealife.management.commands.create_api_key import find_user
from promotion.candidates.windows import read_window
from promotion.evaluation.drills import read_drills
from promotion.evaluation.gain import read_gain, read_gains
from promotion.steering import evaluate_now, hold_promotion, request_drill, resume_promotion

ORIGIN = "cli"
# The newest ones, with what each was worth.
APPLIES_SHOWN = 5


class Command(BaseCommand):
    """Each word is one action; `status`, the default, changes nothing."""

    help = "Holds or resumes promotion, evaluates now, drills the gate, or shows the state of promotion."

    def add_arguments(self, parser: ArgumentParser) -> None:
        words = ("hold", "resume", "evaluate-now", "drill", "status")
        parser.add_argument(
            "word",
            nargs="?",
            choices=words,
            default="status",
            help="hold: evaluate and apply nothing; resume: end the hold; evaluate-now: do not wait for a full window; "
            "drill: test the gate with two copies of the active tag; status: change nothing.",
        )
        parser.add_argument("--reason", default="", help="hold: the reason, for the audit log.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Does the action, then prints the state of promotion."""
        try:
            self.steer(options["word"], reason=options["reason"])
        except Refused as refused:
            raise CommandError(str(refused)) from None
        window = read_window()
        self.stdout.write(
            f"Window {window.number} is {window.state}: {window.in_window} of {window.size} "
            f"{window.counted} successes. {window.sentence}. {window.next_action}"
        )
        self.stdout.write(read_drills().sentence)
        for apply in read_gains().reverse()[:APPLIES_SHOWN]:
            if gain := read_gain(apply):
                self.stdout.write(f"Live apply {apply.pk}, {apply}: {gain.sentence}")

    def steer(self, word: str, *, reason: str) -> None:
        by = command_line(find_user())
        if word == "hold":
            hold_promotion(by=by, origin=ORIGIN, reason=reason)
        elif word == "resume":
            resume_promotion(by=by, origin=ORIGIN)
        elif word == "evaluate-now":
            evaluate_now(by=by, origin=ORIGIN)
        elif word == "drill":
            request_drill(by=by, origin=ORIGIN)
