"""`manage.py create_api_key NAME --scope operate`: makes a key and prints it once."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from lealife.auth import create_api_key
from lealife.lib.errors import Refused
from lealife.models import ApiKey


class Command(BaseCommand):
    """Makes an API key. Only its digest is stored: the key is printed now and never again."""

    help = "Makes an API key and prints it once; only its digest is stored."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The key's name and scope."""
        parser.add_argument("name", help="what the key is for; the audit log shows it")
        parser.add_argument("--scope", choices=ApiKey.Scope.values, default=ApiKey.Scope.READ.value)

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints the key alone on standard output, so that a script can take it from there."""
        try:
            _, secret = create_api_key(name=options["name"], scope=options["scope"], by=find_user(), origin="cli")
        except Refused as refused:
            raise CommandError(str(refused)) from None
        self.stderr.write("Keep it now: it is stored nowhere and cannot be shown again.")
        self.stdout.write(secret)


def find_user() -> str:
    """The operating system's name of whoever runs this."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "cli"
