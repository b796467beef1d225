"""`manage.py training_daemon`: hosts the training loop in the foreground."""

from __future__ import annotations

import signal
import time
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand
from django.db import InterfaceError, OperationalError, connection

from lealife.draining import is_draining, start_draining
from lealife.lib.environment import read_flag
from lealife.pipeline import Sweeper, worker_name
from training.coordinator import read_coordinator, run_loop, start_training

START_IF_STOPPED = "TRAINING_DAEMON_START_IF_STOPPED"
WAIT_S = 1.0


class Command(BaseCommand):
    help = (
        "Leads the training loop in the foreground, or waits to take over. "
        f"With {START_IF_STOPPED}=1 it starts training again after a Stop."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: start_draining())
        holder, restart, sweeper = worker_name(), read_flag(START_IF_STOPPED, default=False), Sweeper()

        def tick(now: datetime) -> int:
            if restart and not read_coordinator().enabled:
                start_training(by="training_daemon", origin=START_IF_STOPPED)
                self.stdout.write(f"Training was stopped; started again, because {START_IF_STOPPED}=1.")
            return sweeper.tick(now)

        while not is_draining():
            try:
                led = run_loop(holder=holder, hold_s=None, tick=tick, should_stop=is_draining)
            except (OperationalError, InterfaceError) as error:
                self.stderr.write(f"Postgres is away, trying again: {error}")
                connection.close()
                led = False
            if not led:
                # Another coordinator leads, or Postgres is away: look again shortly.
                time.sleep(WAIT_S)
