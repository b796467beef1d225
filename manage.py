#!/usr/bin/env python
"""Runs LeaLife's management commands, on the embedded PostgreSQL when `DATABASE_URL` names no server."""

import os
import sys

from lealife.embedded.postgres import ensure_database_url

# `up` supervises the embedded servers itself; `ollama_serve` and `proof verify` need no database.
WITHOUT_DATABASE = {"ollama_serve", "help", "--help", "--version", "version"}


def main() -> None:
    """Hands the command line to Django."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lealife.settings")
    if sys.argv[1:3] == ["proof", "verify"] or (len(sys.argv) > 1 and sys.argv[1] in WITHOUT_DATABASE):
        os.environ.setdefault("DATABASE_URL", "postgresql:///unused")
    else:
        ensure_database_url()
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
