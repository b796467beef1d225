"""LeaLife's commands, as `lealife COMMAND`, `python -m lealife COMMAND` or `manage.py COMMAND`."""

from __future__ import annotations

import os
import sys

from lealife.embedded.postgres import ensure_database_url

# `up` supervises the embedded servers itself; `ollama_serve` and `proof verify` need no database.
WITHOUT_DATABASE = {"ollama_serve", "help", "--help", "--version", "version"}


def main() -> None:
    """Hands the command line to Django, on the embedded PostgreSQL when `DATABASE_URL` names no server."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lealife.settings")
    if sys.argv[1:3] == ["proof", "verify"] or (len(sys.argv) > 1 and sys.argv[1] in WITHOUT_DATABASE):
        os.environ.setdefault("DATABASE_URL", "postgresql:///unused")
    else:
        try:
            ensure_database_url()
        except RuntimeError as error:
            # The embedded server does not start; the sentence says why.
            sys.exit(str(error))
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    from lealife.core.errors import Refused

    try:
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, Refused) as error:
        # The sentence names the wrong variable and says how to put it right.
        sys.exit(str(error))


if __name__ == "__main__":
    main()
