"""Panel 9, Runtime Controls & Settings: what is applied now, with the model's own explanation of each value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lealife.dashboard.readings import Readings
from lealife.dashboard.training.lanes import NO_LOCK
from lealife.dashboard.training.setting_words import say_label, say_value
from training import selection
from training.coordinator import StopReversal
from training.models import RuntimeSettings, RuntimeSettingsChange
from training.runtime_settings import TRAINING_ONLY
from training.settings_catalogue import SETTINGS

# What the page shows read-only here; the engine itself is chosen in admin.
ALL_TASK = (
    "global_max_concurrent_runs",
    "reserved_control_slots",
    "controller_max_calls",
    "browser_headful",
    "browser_autostart",
)


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One live value, as words, with its hint; `unit` and `bounds` say what it may be."""

    field: str
    label: str
    value: str
    unit: str
    bounds: str
    hint: str


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """Who changed what when; `what` holds one `label: old → new` a setting."""

    version: int
    by: str
    origin: str
    at: datetime
    what: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ControlsPanel:
    """Runtime Controls & Settings."""

    loop_state: str
    loop_reason: str
    enabled: bool
    enabled_changed_at: datetime | None
    enabled_changed_by: str
    reversal: StopReversal | None  # only while the last change was one
    lane_mode_label: str
    selection_mode: str
    queue_pending: int
    queue_pending_training_ui: int
    queue_pending_other: int
    curriculum_pending: int
    curriculum_fallback: bool
    current_source_kind: str
    running_training: int
    training_max: int  # what may run at once, never above the ceiling
    training_cap_note: str
    host_policy: str
    host_lock: str
    training_only: tuple[SettingRow, ...]
    all_task: tuple[SettingRow, ...]
    training_ceiling: int
    running_non_training: int
    version: int
    updated_at: datetime
    updated_by: str
    changes: tuple[ChangeRow, ...]  # the newest five


def build_controls_panel(readings: Readings) -> ControlsPanel:
    """The panel from one set of readings; no query of its own."""
    settings, waiting, slots = readings.vitals.settings, readings.vitals.facts.waiting, readings.vitals.slots
    return ControlsPanel(
        loop_state=readings.vitals.loop.state,
        loop_reason=readings.vitals.loop.reason,
        enabled=readings.vitals.loop.enabled,
        enabled_changed_at=readings.vitals.loop.enabled_changed_at,
        enabled_changed_by=readings.vitals.loop.enabled_changed_by,
        reversal=readings.vitals.loop.reversal,
        lane_mode_label=settings.get_source_lane_mode_display(),
        selection_mode=readings.next_source.selection_mode,
        queue_pending=waiting.queue,
        queue_pending_training_ui=waiting.queue_training_ui,
        queue_pending_other=waiting.queue - waiting.queue_training_ui,
        curriculum_pending=waiting.curriculum,
        curriculum_fallback=settings.curriculum_fallback,
        current_source_kind=readings.open_cycles[0].source.kind if readings.open_cycles else "none",
        running_training=slots.running_training,
        training_max=slots.training_cap,
        training_cap_note=slots.cap_note,
        host_policy=selection.host_policy_sentence(campaign_lock=settings.campaign_lock),
        host_lock=readings.next_source.host_lock or NO_LOCK,
        training_only=_describe(settings, TRAINING_ONLY),
        all_task=_describe(settings, ALL_TASK),
        training_ceiling=slots.training_ceiling,
        running_non_training=slots.running_non_training,
        version=settings.version,
        updated_at=settings.updated_at,
        updated_by=settings.updated_by,
        changes=tuple(_describe_change(change) for change in readings.changes),
    )


def _describe(settings: RuntimeSettings, names: tuple[str, ...]) -> tuple[SettingRow, ...]:
    return tuple(
        SettingRow(
            field=name,
            label=say_label(name),
            value=say_value(name, getattr(settings, name)),
            unit=SETTINGS[name].unit,
            bounds=SETTINGS[name].bounds,
            hint=SETTINGS[name].hint,
        )
        for name in names
    )


def _describe_change(change: RuntimeSettingsChange) -> ChangeRow:
    return ChangeRow(
        version=change.version,
        by=change.changed_by,
        origin=change.changed_from,
        at=change.changed_at,
        what=tuple(
            f"{say_label(name)}: {say_value(name, old)} → {say_value(name, new)}"
            for name, (old, new) in change.changes.items()
        ),
    )
