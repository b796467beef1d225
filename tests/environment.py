"""Tests run on a real PostgreSQL: the embedded one, or `DATABASE_URL`.

A pytest plugin (`-p tests.environment`), because pytest-django reads Django's settings before any conftest.
pytest-xdist's workers inherit the first process's server; each has a test database and a data folder of its own.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import psycopg

from lealife.embedded.postgres import ensure_database_url

# The data is thrown away, so it need not survive a crash of the machine. Both take effect on a reload. Commits stay
# synchronous: tests check which transactions the product lets a crash take back.
CARELESS = ("fsync", "full_page_writes")


def _make_data_dir() -> None:
    """Data of their own, so that tests never meet a running installation; removed when the process ends."""
    parent = Path("/var/lib/lealife") if hasattr(os, "geteuid") and os.geteuid() == 0 else None
    if parent is not None:
        # Root's embedded PostgreSQL runs as another user, who must be able to reach its data.
        parent.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="test-", dir=parent)
    os.environ["LEALIFE_DATA"] = folder
    # Registered before the server's own stop, hence run after it: handlers run last in, first out.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


def _start_server() -> None:
    """Starts the embedded server, and lets it skip what only makes data survive a crash of the machine."""
    with psycopg.connect(ensure_database_url(), autocommit=True) as connection:
        for setting in CARELESS:
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")


if "LEALIFE_DATA" not in os.environ or "PYTEST_XDIST_WORKER" in os.environ:
    _make_data_dir()
if "DATABASE_URL" not in os.environ:
    _start_server()
