"""Where LeaLife keeps its files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

# The checkout, or site-packages where LeaLife is installed as a package.
BASE_DIR = Path(__file__).resolve().parent.parent.parent
IS_CHECKOUT = (BASE_DIR / "manage.py").exists()


def data_dir() -> Path:
    """The folder for everything that this installation writes: `LEALIFE_DATA`, or a default.

    Started by root, the embedded PostgreSQL runs as another user and makes every parent of its data folder readable.
    So root's default lies below /var/lib, never below a home folder.
    """
    named = os.environ.get("LEALIFE_DATA")
    if named:
        path = Path(named).expanduser().resolve()
    elif hasattr(os, "geteuid") and os.geteuid() == 0:
        # One folder for each checkout and each venv, so that two on one machine do not share a database.
        path = Path("/var/lib/lealife") / hashlib.sha256(str(BASE_DIR).encode()).hexdigest()[:12]
    else:
        path = (BASE_DIR if IS_CHECKOUT else Path.home()) / ".lealife"
    path.mkdir(parents=True, exist_ok=True)
    return path
