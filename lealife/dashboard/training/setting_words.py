"""Runtime settings in words: their labels, and their values as a person reads them."""

from __future__ import annotations

from typing import Any

from training.settings_catalogue import SETTINGS

LABELS = {name: setting.label for name, setting in SETTINGS.items()}


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
