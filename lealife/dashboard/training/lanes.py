"""Panel 3, Training Lanes: the automatic loop, and the sources that operators queued."""

from __future__ import annotations

from dataclasses import dataclass

from lealife.dashboard.facts import Waiting
from lealife.dashboard.readings import DefinitionCount, Readings
from lealife.dashboard.training.sources import SourceRow
from training import selection
from training.slots import Slots

NO_LOCK = "none (host-diverse mode)"


@dataclass(frozen=True, slots=True)
class LanesPanel:
    """Training Lanes; `waiting` counts pending sources."""

    loop_state: str
    enabled: bool
    current_source_kind: str  # queue | curriculum | none
    slots: Slots
    curriculum_fallback: bool
    host_lock: str
    host_policy: str
    campaign_lock: bool
    lane_mode: str
    lane_mode_label: str
    lane_sentence: str
    queued_exact: tuple[SourceRow, ...]
    definitions: tuple[DefinitionCount, ...]  # saved task definitions, most pending first
    waiting: Waiting


def build_lanes_panel(readings: Readings, *, queued: tuple[SourceRow, ...]) -> LanesPanel:
    """The panel from one set of readings and the head of the operator queue; no query of its own."""
    settings, waiting = readings.vitals.settings, readings.vitals.facts.waiting
    return LanesPanel(
        loop_state=readings.vitals.loop.state,
        enabled=readings.vitals.loop.enabled,
        current_source_kind=readings.open_cycles[0].source.kind if readings.open_cycles else "none",
        slots=readings.vitals.slots,
        curriculum_fallback=settings.curriculum_fallback,
        host_lock=readings.next_source.host_lock or NO_LOCK,
        host_policy=selection.host_policy_sentence(campaign_lock=settings.campaign_lock),
        campaign_lock=settings.campaign_lock,
        lane_mode=settings.source_lane_mode,
        lane_mode_label=settings.get_source_lane_mode_display(),
        lane_sentence=describe_lane(settings.source_lane_mode, queue_pending=waiting.queue),
        queued_exact=queued[:3],
        definitions=readings.definitions,
        waiting=waiting,
    )


def describe_lane(mode: str, *, queue_pending: int) -> str:
    """What the lane mode does with the queue as it is now."""
    if mode == selection.HYBRID and not queue_pending:
        return "Hybrid mode: queue is empty; curriculum fallback is used only if enabled."
    return selection.LANE_SENTENCES[mode]
