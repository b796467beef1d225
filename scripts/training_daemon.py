#!/usr/bin/env python
"""The training loop in the foreground: `manage.py training_daemon` under its older name."""

import os
import sys
from pathlib import Path

manage = Path(__file__).resolve().parent.parent / "manage.py"
os.execv(sys.executable, [sys.executable, str(manage), "training_daemon", *sys.argv[1:]])  # noqa: S606  no shell
