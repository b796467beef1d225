"""Panel 2, Training State: is it running, how does it go, what waits, who holds the machine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lealife.dashboard.readings import Readings
from lealife.health import Health


@dataclass(frozen=True, slots=True)
class StatePanel:
    """Training State; `recent_*` are the newest 100 outcomes, runs are those holding a slot now."""

    loop_state: str  # running | stopped | stalled | unknown
    loop_reason: str
    enabled: bool
    last_launch_at: datetime | None
    recent_successes: int
    recent_total: int
    recent_percent: int | None
    queue_pending: int
    curriculum_pending: int
    hosts: int
    running_total: int
    running_training: int
    training_max: int
    running_non_training: int
    health: Health


def build_state_panel(readings: Readings) -> StatePanel:
    """The panel from one set of readings; no query of its own."""
    return StatePanel(
        loop_state=readings.loop.state,
        loop_reason=readings.loop.reason,
        enabled=readings.loop.enabled,
        last_launch_at=readings.loop.last_launch_at,
        recent_successes=readings.recent.successes,
        recent_total=readings.recent.total,
        recent_percent=readings.recent.percent,
        queue_pending=readings.waiting.queue,
        curriculum_pending=readings.waiting.curriculum,
        hosts=readings.waiting.hosts,
        running_total=readings.slots.running_total,
        running_training=readings.slots.running_training,
        training_max=readings.slots.training_max,
        running_non_training=readings.slots.running_non_training,
        health=readings.health,
    )
