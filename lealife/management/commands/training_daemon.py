"""`manage.py training_daemon`: hosts the training loop in the foreground."""

from __future__ import annotations

import logging
import signal
import socket
import time
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand
from django.db import InterfaceError, OperationalError, connection

from lealife.core.environment import read_flag
from lealife.pipeline.draining import is_draining, start_draining
from lealife.pipeline.stages import Sweeper, worker_name
from training.coordinator import read_coordinator, reverse_stop, run_loop
from training.heartbeats import DAEMON

START_IF_STOPPED = "TRAINING_DAEMON_START_IF_STOPPED"
WAIT_S = 1.0
log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = (
        "Leads the training loop in the foreground, or waits to take over. "
        f"With {START_IF_STOPPED}=1 it starts training again after a Stop."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: start_draining())
        self.restarts, self.sweeper = read_flag(START_IF_STOPPED), Sweeper(doing=DAEMON)
        while not is_draining():
            try:
                # Also while another process leads: the flag must work whichever process leads.
                self.start_if_stopped()
                led = run_loop(holder=worker_name(), hold_s=None, tick=self.tick, should_stop=is_draining)
            except (OperationalError, InterfaceError) as error:
                self.stderr.write(f"Postgres does not answer, trying again: {error}")
                connection.close()
                led = False
            except Exception:
                # The worker's edge: the coordinator's row keeps the reason, and the next tick may succeed.
                log.exception("a tick broke, trying again")
                led = False
            if not led:
                # Another coordinator leads, or no process can at the moment: try again shortly.
                time.sleep(WAIT_S)

    def tick(self, now: datetime) -> int:
        """One turn of the loop; returns how many runs it launched."""
        self.start_if_stopped()
        return self.sweeper.tick(now)

    def start_if_stopped(self) -> None:
        """Reverses a Stop, when `TRAINING_DAEMON_START_IF_STOPPED` is set."""
        if not self.restarts or read_coordinator().enabled:
            return
        if reverse_stop(daemon=f"training_daemon on {socket.gethostname()}", origin=START_IF_STOPPED):
            self.stdout.write(f"Training was stopped; started again, because {START_IF_STOPPED}=1.")
