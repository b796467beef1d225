"""Runtime settings: one versioned row, changed in one place, read by every process at its next tick."""

from __future__ import annotations

import os
from math import isnan
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from lealife.lib.announce import announce
from lealife.lib.errors import Conflict, InvalidInput
from training.models import RuntimeSettings, RuntimeSettingsChange

HIDDEN = {"id", "version", "updated_at", "updated_by"}
# Who a value belongs to: the training loop alone, or every run.
TRAINING_ONLY = (
    "training_max_active_runs",
    "loop_interval_s",
    "recent_host_window",
    "retry_budget",
    "default_pages_target",
    "curriculum_fallback",
    "source_lane_mode",
    "campaign_lock",
)
EVERY_TASK = (
    "global_max_concurrent_runs",
    "reserved_control_slots",
    "controller_max_calls",
    "browser_engine",
    "browser_headful",
    "browser_autostart",
)
FIELDS = tuple(field.name for field in RuntimeSettings._meta.concrete_fields if field.name not in HIDDEN)


def read_settings() -> RuntimeSettings:
    """The row; made with first-run defaults when it is missing."""
    row = RuntimeSettings.objects.first()
    if row is None:
        row, _ = RuntimeSettings.objects.get_or_create(id=1, defaults=read_first_run_defaults())
    return row


def read_first_run_defaults() -> dict[str, Any]:
    """Values for a new installation: `LEALIFE_DEFAULT_<FIELD>` in the environment, checked like any change."""
    given = {name: os.environ[key] for name in FIELDS if (key := f"LEALIFE_DEFAULT_{name.upper()}") in os.environ}
    given.setdefault("window_size", str(settings.LEALIFE_WINDOW_SIZE))
    return {name: _clean(name, value) for name, value in given.items()}


def apply_settings(*, changes: dict[str, Any], version: int | None, by: str, origin: str) -> RuntimeSettings:
    """Applies a draft made against `version`; returns the new row.

    Raises InvalidInput for an unknown field or a value out of bounds, Conflict (with the difference in
    `details["diff"]`) when somebody applied another draft first. A draft that changes nothing is no new version.
    """
    cleaned = {name: _clean(name, value) for name, value in changes.items()}
    read_settings()
    with transaction.atomic():
        row = RuntimeSettings.objects.select_for_update().get(id=1)
        if version is not None and row.version != version:
            diff = {name: [getattr(row, name), value] for name, value in cleaned.items() if getattr(row, name) != value}
            raise Conflict(
                f"Settings were changed to version {row.version} by {row.updated_by or 'somebody'} "
                f"while you edited version {version}.",
                diff=diff,
                version=row.version,
            )
        differences = {
            name: [getattr(row, name), value] for name, value in cleaned.items() if getattr(row, name) != value
        }
        if not differences:
            return row
        for name, (_, value) in differences.items():
            setattr(row, name, value)
        if row.reserved_control_slots >= row.global_max_concurrent_runs:
            raise InvalidInput(
                f"{row.reserved_control_slots} reserved control slots leave none of "
                f"{row.global_max_concurrent_runs} for training.",
                field="reserved_control_slots",
            )
        row.version += 1
        row.updated_by = by
        row.save(update_fields=[*differences, "version", "updated_by", "updated_at"])
        RuntimeSettingsChange.objects.create(
            version=row.version, changes=differences, changed_by=by, changed_from=origin
        )
        announce("settings")
    return row


def _clean(name: str, value: Any) -> Any:
    if name not in FIELDS:
        raise InvalidInput(f"There is no setting {name!r}.", field=name)
    field = RuntimeSettings._meta.get_field(name)
    # Django would take True for 1: a setting of another type is an operator's mistake, not a number.
    if isinstance(value, bool) != (field.get_internal_type() == "BooleanField") and not isinstance(value, str):
        raise InvalidInput(f"{field.verbose_name} cannot be {value!r}.", field=name)
    try:
        cleaned = field.clean(value, None)
    except ValidationError as error:
        raise InvalidInput(f"{field.verbose_name}: {' '.join(error.messages)}", field=name) from None
    # NaN is within any bounds, and Django cuts 3.7 down to 3.
    if (isinstance(cleaned, float) and isnan(cleaned)) or (isinstance(value, float) and cleaned != value):
        raise InvalidInput(f"{field.verbose_name} cannot be {value!r}.", field=name)
    return cleaned
