"""Drafts of the runtime settings: one user's changes, kept in their session until they are applied."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ValidationError

from lealife.dashboard.numbers import read_number
from lealife.dashboard.training.controls import LABELS, say_changes, say_value
from training.models import RuntimeSettings, RuntimeSettingsChange
from training.runtime_settings import TRAINING_ONLY, read_settings

KEY = "settings_draft"
ON_OFF = (("False", "Selector: Off"), ("True", "Selector: On"))


class SelectorForm(forms.ModelForm):
    """The selectors. The form only renders them; `apply_settings` checks a draft."""

    class Meta:
        model = RuntimeSettings
        fields = TRAINING_ONLY
        labels = LABELS
        widgets = {  # noqa: RUF012  Django's own way to say it
            "curriculum_fallback": forms.Select(choices=ON_OFF),
            "campaign_lock": forms.Select(choices=ON_OFF),
        }


@dataclass(frozen=True, slots=True)
class PendingChange:
    """One setting's live value and its value in the draft; `error`: why that value is not allowed."""

    label: str
    live: str
    draft: str
    error: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft against `version`. `later` are settings that others changed since, as `label: old → new`."""

    version: int
    live_version: int
    live_by: str
    pending: tuple[PendingChange, ...]
    later: tuple[str, ...]

    @property
    def is_outdated(self) -> bool:
        """Whether someone applied other settings after the draft was started."""
        return self.version != self.live_version


def keep_draft(session: SessionBase, posted: Mapping[str, str]) -> None:
    """Stores what a posted form changes in the version it was made from; deletes the draft if that is nothing."""
    row = read_settings()
    version = read_number(posted.get("version", "")) or row.version
    base = _read_base(row, version=version)
    changes = {name: posted[name] for name in TRAINING_ONLY if name in posted and _differs(name, posted[name], base)}
    if changes:
        session[KEY] = {"version": version, "changes": changes}
    else:
        session.pop(KEY, None)


def rebase_draft(session: SessionBase) -> None:
    """Moves the draft to the live version, after its author has seen what others changed."""
    if draft := session.get(KEY):
        session[KEY] = {**draft, "version": read_settings().version}


def drop_draft(session: SessionBase) -> None:
    """Deletes the draft."""
    session.pop(KEY, None)


def read_draft(session: SessionBase) -> tuple[int | None, dict[str, str]]:
    """The draft as `apply_settings` takes it: the version it was made against, and its changes as typed."""
    draft = session.get(KEY) or {}
    return draft.get("version"), draft.get("changes", {})


def describe_draft(session: SessionBase, *, row: RuntimeSettings) -> tuple[Draft, SelectorForm]:
    """The draft with the live values, and the selectors that show it. One more query when it is outdated."""
    version, changes = read_draft(session)
    version = version or row.version
    later = _read_later(version) if version != row.version else []
    draft = Draft(
        version=version,
        live_version=row.version,
        live_by=row.updated_by or "somebody",
        pending=tuple(_describe_change(row, name, typed) for name, typed in changes.items()),
        later=tuple(sentence for change in later for sentence in say_changes(change)),
    )
    return draft, SelectorForm(instance=row, initial=changes)


def _describe_change(row: RuntimeSettings, name: str, typed: str) -> PendingChange:
    live = say_value(name, getattr(row, name))
    try:
        value = RuntimeSettings._meta.get_field(name).clean(typed, None)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValidationError("Enter a number.")
    except ValidationError as error:
        return PendingChange(LABELS[name], live, typed[:40] or "nothing", " ".join(error.messages))
    return PendingChange(LABELS[name], live, say_value(name, value), "")


def _differs(name: str, typed: str, base: dict[str, Any]) -> bool:
    try:
        return RuntimeSettings._meta.get_field(name).to_python(typed) != base[name]
    except ValidationError:
        return True


def _read_base(row: RuntimeSettings, *, version: int) -> dict[str, Any]:
    """The values of an earlier version: the live ones with the later changes undone, newest first."""
    base = {name: getattr(row, name) for name in TRAINING_ONLY}
    if version != row.version:
        for change in reversed(_read_later(version)):
            base |= {name: old for name, (old, _) in change.changes.items() if name in base}
    return base


def _read_later(version: int) -> list[RuntimeSettingsChange]:
    return list(RuntimeSettingsChange.objects.filter(version__gt=version).order_by("version"))
