"""A database of a benchmark's own on the same server, with the product's schema; dropped when it ends."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from lealife.core.announce import stop_announcing

_HANG_UP = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@contextmanager
def open_database() -> Iterator[str]:
    """Switches the default connection to a new, migrated database; yields its name. They may be nested."""
    before, test = connection.settings_dict["NAME"], connection.settings_dict["TEST"]
    name = f"bench_{secrets.token_hex(4)}"
    kept, test["NAME"] = test["NAME"], name
    make_database(name)
    test["NAME"] = kept
    try:
        yield name
    finally:
        stop_announcing()
        use_database(name)
        with connection.cursor() as cursor:
            # A process that was killed with its benchmark may not have hung up yet.
            cursor.execute(_HANG_UP)
        connection.creation.destroy_test_db(before, verbosity=0)


def make_database(name: str) -> None:
    """Creates a database with the product's schema, and switches the default connection to it."""
    made = connection.creation.create_test_db(verbosity=0, autoclobber=True)
    if made != name:
        raise RuntimeError(f"Django made the database {made}, not {name}.")


def use_database(name: str) -> None:
    """Points the default connection, and every process forked from now on, at another database."""
    connection.close()
    connection.settings_dict["NAME"] = name
