"""Tests run on a real PostgreSQL: the embedded one, or `DATABASE_URL`.

A pytest plugin (`-p tests.environment`), because pytest-django reads Django's settings before any conftest.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from lealife.embedded.postgres import ensure_database_url


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


if "LEALIFE_DATA" not in os.environ:
    _make_data_dir()
ensure_database_url()
