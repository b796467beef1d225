"""`manage.py create_api_key NAME --scope operate`: makes a key and prints it once."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from lealife.core.actors import command_line
from lealife.core.errors import NotFound, Refused
from lealife.keys import DAYS, create_api_key
from lealife.models import ApiKey


class Command(BaseCommand):
    """Makes an API key. Only its digest is stored: the key is printed now and never again."""

    help = (
        "Makes an API key and prints it once; only its digest is stored. The key belongs to --owner, or else to the "
        "first superuser. It may do no more than its owner, and stops working when its owner may no longer sign in. "
        "A key made before there is a superuser has no owner."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="What the key is for; the audit log shows it.")
        parser.add_argument(
            "--scope", choices=ApiKey.Scope.values, default=ApiKey.Scope.READ.value, help="How much the key may do."
        )
        parser.add_argument("--owner", default="", metavar="USER", help="Whose key it is; else the first superuser's.")
        parser.add_argument("--days", type=int, default=DAYS, help="Days until the key ends.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints the key alone on standard output, so that a script can take it from there."""
        try:
            _, secret = create_api_key(
                name=options["name"],
                scope=options["scope"],
                by=command_line(find_user()),
                origin="cli",
                owner=find_owner(options["owner"]),
                days=options["days"],
            )
        except Refused as refused:
            raise CommandError(str(refused)) from None
        self.stderr.write("Save this key now. It is not stored and cannot be shown again.")
        self.stdout.write(secret)


def find_owner(name: str) -> User | None:
    """The user of this name; None for no name. Raises NotFound."""
    if not name:
        return None
    owner = User.objects.filter(username=name).first()
    if owner is None:
        raise NotFound(f"There is no user {name!r}.")
    return owner


def find_user() -> str:
    """The operating system's name of the user who runs this command."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "cli"
