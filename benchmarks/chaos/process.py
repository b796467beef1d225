"""The arena as a process on `DATABASE_URL`'s database: `python -m benchmarks.chaos.process --kills N --seed S …`.

Prints JSON lines: {"kills", "state"} as it goes, at last {"claims"}. The leases come from the environment.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import django
from django.core.management import call_command


def main() -> None:
    """Migrates the database, runs the arena on it and tells."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos.process")
    for name in ("kills", "seed", "workers"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lealife.settings")
    django.setup()
    from benchmarks.chaos.arena import Arena, Plan

    _say(kills=0, state="migrate")
    call_command("migrate", verbosity=0, interactive=False)
    with tempfile.TemporaryDirectory(prefix="lealife-chaos-") as folder:
        plan = Plan(kills=options.kills, workers=options.workers, seed=options.seed)
        arena = Arena(plan=plan, folder=Path(folder), say=lambda kills, state: _say(kills=kills, state=state))
        _say(claims=[asdict(claim) for claim in arena.run()])


def _say(**facts: object) -> None:
    sys.stdout.write(f"{json.dumps(facts)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
