"""Runtime settings: one versioned row, changed in one place, read by every process at its next tick."""

from __future__ import annotations

import os
import reprlib
from math import isnan
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from lealife.core.actors import Actor, requires
from lealife.core.announce import announce
from lealife.core.errors import Conflict, InvalidInput
from training.models import RuntimeSettings, RuntimeSettingsChange
from training.settings_catalogue import CHOICE, SETTINGS, SWITCH, Group, names_of

TRAINING_ONLY, EVERY_TASK = names_of(Group.TRAINING), names_of(Group.EVERY_TASK)
FIELDS = tuple(SETTINGS)
CHANGE_TRAINING, CHANGE_EVERY = "training.change_settings", "training.change_every_setting"
# The switch is promotion's own, whichever way it is thrown.
HOLD = "promotion.hold_promotion"


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
    defaults = {name: _clean(name, value, typed=True) for name, value in given.items()}
    _check_slots(RuntimeSettings(**defaults))
    return defaults


@requires(CHANGE_TRAINING)
def apply_settings(
    *, changes: dict[str, Any], version: int | None, by: Actor, origin: str, typed: bool = False
) -> RuntimeSettings:
    """Applies a draft made against `version`, as `write_settings` does.

    Settings that concern more than training need another permission: Forbidden names it.
    """
    for permission in sorted({find_permission(name) for name in changes if name in SETTINGS}):
        by.require(permission)
    return write_settings(changes=changes, version=version, by=by, origin=origin, typed=typed)


def find_permission(name: str) -> str:
    if name == "promotion_hold":
        return HOLD
    return CHANGE_TRAINING if SETTINGS[name].group == Group.TRAINING else CHANGE_EVERY


def write_settings(
    *, changes: dict[str, Any], version: int | None, by: Actor, origin: str, typed: bool = False
) -> RuntimeSettings:
    """Writes a draft made against `version`; returns the new row. The caller has checked what `by` may do.

    Numbers and switches that a person has `typed` come as text; a program's must have the setting's own type.
    Raises InvalidInput for an unknown field or a value out of bounds, Conflict when the draft was made against
    another version than the live one: `details` hold `diff`, what the draft would still change ([live, draft]), and
    `changed`, what others changed since ([then, live]). A draft that changes nothing is no new version.
    """
    cleaned = {name: _clean(name, value, typed=typed) for name, value in changes.items()}
    read_settings()
    with transaction.atomic():
        row = RuntimeSettings.objects.select_for_update().get(id=1)
        differences = {
            name: [getattr(row, name), value] for name, value in cleaned.items() if getattr(row, name) != value
        }
        if version is not None and row.version != version:
            raise _describe_conflict(row, version=version, diff=differences)
        if not differences:
            return row
        for name, (_, value) in differences.items():
            setattr(row, name, value)
        _check_slots(row)
        row.version += 1
        row.updated_by = by.name
        row.save(update_fields=[*differences, "version", "updated_by", "updated_at"])
        RuntimeSettingsChange.objects.create(
            version=row.version, changes=differences, changed_by=by.name, changed_from=origin
        )
        announce("settings")
    return row


def _check_slots(row: RuntimeSettings) -> None:
    if row.reserved_control_slots >= row.global_max_concurrent_runs:
        raise InvalidInput(
            f"{row.reserved_control_slots} reserved control slots leave none of "
            f"{row.global_max_concurrent_runs} for training.",
            field="reserved_control_slots",
        )


def _describe_conflict(row: RuntimeSettings, *, version: int, diff: dict[str, list[Any]]) -> Conflict:
    if version > row.version:
        return Conflict(f"There is no version {version} of the settings: {row.version} is live.", diff=diff, changed={})
    changed: dict[str, list[Any]] = {}
    for change in RuntimeSettingsChange.objects.filter(version__gt=version).order_by("version"):
        for name, (old, new) in change.changes.items():
            changed[name] = [changed.get(name, [old])[0], new]
    return Conflict(
        f"Settings were changed to version {row.version} by {row.updated_by or 'someone'} "
        f"while you edited version {version}.",
        diff=diff,
        changed={name: values for name, values in changed.items() if values[0] != values[1]},
        version=row.version,
    )


def _clean(name: str, value: Any, *, typed: bool) -> Any:
    setting = SETTINGS.get(name)
    if setting is None:
        raise InvalidInput(f"There is no setting {name!r}.", field=name)
    refused = InvalidInput(f"{setting.label} cannot be {_shorten(value)}: {setting.bounds}.", field=name)
    # Django would take True for 1 and "3" for 3: a value of another type is a mistake, not a number.
    if isinstance(value, str):
        of_type = typed or setting.kind == CHOICE
    else:
        of_type = isinstance(value, bool) == (setting.kind == SWITCH)
    if not of_type:
        raise refused
    try:
        cleaned = RuntimeSettings._meta.get_field(name).clean(value, None)
    except ValidationError as error:
        raise InvalidInput(f"{setting.label}: {' '.join(error.messages)}", field=name) from None
    except (OverflowError, ValueError):
        # A number past what a float holds or Python writes out, or infinity where a whole number is wanted.
        raise refused from None
    # NaN is within any bounds, and Django cuts 3.7 down to 3.
    if (isinstance(cleaned, float) and isnan(cleaned)) or (isinstance(value, float) and cleaned != value):
        raise refused
    return cleaned


def _shorten(value: Any) -> str:
    # Nobody reads the end of a whole document, and Python refuses to write numbers of thousands of digits.
    return "a number of that size" if isinstance(value, int) and value.bit_length() > 100 else reprlib.repr(value)
