"""Runtime settings in words: their labels, and their values as a person reads them."""

from __future__ import annotations

from typing import Any

from training.models import RuntimeSettings

LABELS = {
    "training_max_active_runs": "Training Max Active Runs",
    "loop_interval_s": "Loop Interval (s)",
    "recent_host_window": "Recent Host Window",
    "retry_budget": "Retry Budget / Source",
    "default_pages_target": "Default Pages Target",
    "curriculum_fallback": "Curriculum Fallback",
    "source_lane_mode": "Source Lane Mode",
    "campaign_lock": "Campaign Lock Mode",
    "global_max_concurrent_runs": "Global Max Concurrent Runs",
    "reserved_control_slots": "Reserved Control Slots",
    "controller_max_calls": "Controller Max Calls / Run",
    "browser_headful": "Browser Headful (Global)",
    "browser_autostart": "Browser Autostart (Global)",
}


def say_value(name: str, value: Any) -> str:
    """The value of setting `name` in words."""
    if isinstance(value, bool):
        return "On" if value else "Off"
    if name == "source_lane_mode":
        return dict(RuntimeSettings.LaneMode.choices).get(value, str(value))
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def say_label(name: str) -> str:
    """What the page calls setting `name`."""
    return LABELS.get(name, name.replace("_", " "))
