"""What the processes of a chaos world do: the queue's workers and the coordinators, without the queue."""

from __future__ import annotations

import os
import time
from datetime import datetime

from django.utils import timezone

from benchmarks.chaos.effects import EffectLog
from lealife.core.announce import Listener
from lealife.pipeline.draining import is_draining
from lealife.pipeline.stages import STAGES, Sweeper, drain, worker_name
from training.coordinator import run_loop

# Nothing to do: a worker looks again when something is announced, at the latest after this many seconds.
IDLE_S = 0.1
# Another coordinator leads: this one looks again after so many seconds.
STAND_BY_S = 0.25


def work_stages() -> None:
    """Drains every stage that has work, as a worker does whom the sweep's bells wake, until told to stop."""
    parent = os.getppid()
    listener = Listener()
    while not is_draining() and os.getppid() == parent:
        if not sum(drain(stage.name) for stage in STAGES.values() if stage.ready(timezone.now())):
            listener.wait(timeout_s=IDLE_S)
    listener.close()


def lead_loop(*, log: EffectLog) -> None:
    """Leads the loop or stands by, as `manage.py training_daemon` does; every tick is in the log."""
    parent = os.getppid()
    sweeper = Sweeper()

    def tick(now: datetime) -> int:
        log.append("tick", holder=worker_name())
        launched = sweeper.tick(now)
        log.append("ticked", holder=worker_name())
        return launched

    def should_stop() -> bool:
        return is_draining() or os.getppid() != parent

    while not should_stop():
        if not run_loop(holder=worker_name(), hold_s=None, tick=tick, should_stop=should_stop):
            time.sleep(STAND_BY_S)
