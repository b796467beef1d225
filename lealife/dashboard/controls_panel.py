"""Panel 9, Runtime Controls & Settings: what is applied now, with the model's own explanation of each value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lealife.dashboard.lanes_panel import NO_LOCK
from lealife.dashboard.readings import Readings
from training import lanes
from training.models import RuntimeSettings

TRAINING_ONLY = (
    ("training_max_active_runs", "Training Max Active Runs"),
    ("loop_interval_s", "Loop Interval (s)"),
    ("recent_host_window", "Recent Host Window"),
    ("retry_budget", "Retry Budget / Source"),
    ("default_pages_target", "Default Pages Target"),
    ("curriculum_fallback", "Curriculum Fallback"),
    ("source_lane_mode", "Source Lane Mode"),
    ("campaign_lock", "Campaign Lock Mode"),
)
ALL_TASK = (
    ("global_max_concurrent_runs", "Global Max Concurrent Runs"),
    ("reserved_control_slots", "Reserved Control Slots"),
    ("controller_max_calls", "Controller Max Calls / Run"),
    ("browser_headful", "Browser Headful (Global)"),
    ("browser_autostart", "Browser Autostart (Global)"),
)


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One live value, as words, with its hint."""

    field: str
    label: str
    value: str
    hint: str


@dataclass(frozen=True, slots=True)
class ControlsPanel:
    """Runtime Controls & Settings."""

    loop_state: str
    loop_reason: str
    enabled: bool
    enabled_changed_at: datetime | None
    enabled_changed_by: str
    lane_mode_label: str
    selection_mode: str
    queue_pending: int
    queue_pending_training_ui: int
    queue_pending_other: int
    curriculum_pending: int
    curriculum_fallback: bool
    current_source_kind: str
    running_training: int
    training_max: int
    host_policy: str
    host_lock: str
    training_only: tuple[SettingRow, ...]
    all_task: tuple[SettingRow, ...]
    training_ceiling: int
    running_non_training: int
    version: int
    updated_at: datetime
    updated_by: str


def build_controls_panel(readings: Readings) -> ControlsPanel:
    """The panel from one set of readings; no query of its own."""
    settings, waiting, slots = readings.vitals.settings, readings.vitals.facts.waiting, readings.vitals.slots
    return ControlsPanel(
        loop_state=readings.vitals.loop.state,
        loop_reason=readings.vitals.loop.reason,
        enabled=readings.vitals.loop.enabled,
        enabled_changed_at=readings.vitals.loop.enabled_changed_at,
        enabled_changed_by=readings.vitals.loop.enabled_changed_by,
        lane_mode_label=settings.get_source_lane_mode_display(),
        selection_mode=readings.next_source.selection_mode,
        queue_pending=waiting.queue,
        queue_pending_training_ui=waiting.queue_training_ui,
        queue_pending_other=waiting.queue - waiting.queue_training_ui,
        curriculum_pending=waiting.curriculum,
        curriculum_fallback=settings.curriculum_fallback,
        current_source_kind=readings.open_cycles[0].source.kind if readings.open_cycles else "none",
        running_training=slots.running_training,
        training_max=slots.training_max,
        host_policy=lanes.host_policy_sentence(campaign_lock=settings.campaign_lock),
        host_lock=readings.next_source.host_lock or NO_LOCK,
        training_only=_describe(settings, TRAINING_ONLY),
        all_task=_describe(settings, ALL_TASK),
        training_ceiling=slots.training_ceiling,
        running_non_training=slots.running_non_training,
        version=settings.version,
        updated_at=settings.updated_at,
        updated_by=settings.updated_by,
    )


def _describe(settings: RuntimeSettings, fields: tuple[tuple[str, str], ...]) -> tuple[SettingRow, ...]:
    return tuple(
        SettingRow(
            field=name,
            label=label,
            value=_in_words(settings, name),
            hint=str(RuntimeSettings._meta.get_field(name).help_text),  # type: ignore[union-attr]
        )
        for name, label in fields
    )


def _in_words(settings: RuntimeSettings, name: str) -> str:
    value: Any = getattr(settings, name)
    if isinstance(value, bool):
        return "On" if value else "Off"
    if name == "source_lane_mode":
        return settings.get_source_lane_mode_display()
    return f"{value:g}" if isinstance(value, float) else f"{value:,}"
