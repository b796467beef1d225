"""Panel 2, Training State: whether training runs, its success, what is pending, and which runs use the slots."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lealife.dashboard.readings import Vitals
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
    training_max: int  # what may run at once, never above the ceiling
    training_cap_note: str
    running_non_training: int
    health: Health


def build_state_panel(vitals: Vitals) -> StatePanel:
    """The panel from the vitals; no query of its own."""
    return StatePanel(
        loop_state=vitals.loop.state,
        loop_reason=vitals.loop.reason,
        enabled=vitals.loop.enabled,
        last_launch_at=vitals.facts.launched_at,
        recent_successes=vitals.recent.successes,
        recent_total=vitals.recent.total,
        recent_percent=vitals.recent.percent,
        queue_pending=vitals.facts.waiting.queue,
        curriculum_pending=vitals.facts.waiting.curriculum,
        hosts=vitals.facts.waiting.hosts,
        running_total=vitals.slots.running_total,
        running_training=vitals.slots.running_training,
        training_max=vitals.slots.training_cap,
        training_cap_note=vitals.slots.cap_note,
        running_non_training=vitals.slots.running_non_training,
        health=vitals.health,
    )
