"""Panel 9, Runtime Controls & Settings: what is applied now, with the model's own explanation of each value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lealife.dashboard.facts import Waiting
from lealife.dashboard.readings import Readings
from lealife.dashboard.rows import fill_row
from lealife.dashboard.training.lanes import NO_LOCK
from training import selection
from training.coordinator import StopReversal
from training.models import RuntimeSettings, RuntimeSettingsChange
from training.runtime_settings import TRAINING_ONLY
from training.settings_catalogue import SETTINGS
from training.slots import Slots

LABELS = {name: setting.label for name, setting in SETTINGS.items()}
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
    waiting: Waiting
    curriculum_fallback: bool
    current_source_kind: str
    slots: Slots
    host_policy: str
    host_lock: str
    training_only: tuple[SettingRow, ...]
    all_task: tuple[SettingRow, ...]
    version: int
    updated_at: datetime
    updated_by: str
    changes: tuple[ChangeRow, ...]  # the newest five


def build_controls_panel(readings: Readings) -> ControlsPanel:
    """The panel from one set of readings; no query of its own."""
    settings, loop = readings.vitals.settings, readings.vitals.loop
    return ControlsPanel(
        loop_state=loop.state,
        loop_reason=loop.reason,
        enabled=loop.enabled,
        enabled_changed_at=loop.enabled_changed_at,
        enabled_changed_by=loop.enabled_changed_by,
        reversal=loop.reversal,
        lane_mode_label=settings.get_source_lane_mode_display(),
        selection_mode=readings.next_source.selection_mode,
        waiting=readings.vitals.facts.waiting,
        curriculum_fallback=settings.curriculum_fallback,
        current_source_kind=readings.open_cycles[0].source.kind if readings.open_cycles else "none",
        slots=readings.vitals.slots,
        host_policy=selection.host_policy_sentence(campaign_lock=settings.campaign_lock),
        host_lock=readings.next_source.host_lock or NO_LOCK,
        training_only=_describe(settings, TRAINING_ONLY),
        all_task=_describe(settings, ALL_TASK),
        version=settings.version,
        updated_at=settings.updated_at,
        updated_by=settings.updated_by,
        changes=tuple(_describe_change(change) for change in readings.changes),
    )


def _describe(settings: RuntimeSettings, names: tuple[str, ...]) -> tuple[SettingRow, ...]:
    return tuple(fill_row(SettingRow, SETTINGS[name], value=say_value(name, getattr(settings, name))) for name in names)


def _describe_change(change: RuntimeSettingsChange) -> ChangeRow:
    return ChangeRow(
        version=change.version,
        by=change.changed_by,
        origin=change.changed_from,
        at=change.changed_at,
        what=say_changes(change),
    )


def say_value(name: str, value: Any) -> str:
    """The value of setting `name` in words."""
    if isinstance(value, bool):
        return "On" if value else "Off"
    if name in SETTINGS and SETTINGS[name].choices:
        return dict(SETTINGS[name].choices).get(value, str(value))
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def say_label(name: str) -> str:
    """What the page calls setting `name`."""
    return LABELS.get(name, name.replace("_", " "))


def say_changes(change: RuntimeSettingsChange) -> tuple[str, ...]:
    """One `label: old → new` a setting."""
    return tuple(
        f"{say_label(name)}: {say_value(name, old)} → {say_value(name, new)}"
        for name, (old, new) in change.changes.items()
    )
