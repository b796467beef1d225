"""Admin of settings, which are applied as drafts, and of the loop's other tables, which are read-only."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from lealife.core.action_admin import NEVER, ORIGIN, ActionAdmin
from lealife.core.actors import read_actor
from lealife.core.readonly_admin import ReadOnlyAdmin
from training.models import (
    AuditEntry,
    Coordinator,
    CounterSlot,
    HostTurn,
    ModelServerFault,
    RuntimeSettings,
    RuntimeSettingsChange,
    WorkerHeartbeat,
)
from training.runtime_settings import EVERY_TASK, FIELDS, TRAINING_ONLY, apply_settings, find_permission, read_settings
from training.settings_catalogue import SETTINGS


class RuntimeSettingsForm(forms.ModelForm):
    """A draft, and the version it was made against."""

    based_on = forms.IntegerField(widget=forms.HiddenInput, min_value=1)

    class Meta:
        model = RuntimeSettings
        fields = FIELDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["based_on"] = self.instance.version
        for name in self.fields.keys() & SETTINGS.keys():
            self.fields[name].label = SETTINGS[name].label
            self.fields[name].help_text = f"{SETTINGS[name].hint} ({SETTINGS[name].bounds})"


@admin.register(RuntimeSettings)
class RuntimeSettingsAdmin(ActionAdmin):
    """The one row. Saving applies a draft: a new version, a line in the change log, no restart."""

    form = RuntimeSettingsForm
    changes = apply_settings.permission
    # There is always one row.
    adds = deletes = NEVER
    list_display = ("__str__", "updated_by", "updated_at")
    fieldsets = (
        (None, {"fields": ("version", "updated_at", "updated_by", "based_on")}),
        ("Training only", {"fields": TRAINING_ONLY}),
        ("Every task", {"fields": EVERY_TASK}),
        (
            "Promotion",
            {"fields": tuple(name for name in FIELDS if name not in (*TRAINING_ONLY, *EVERY_TASK))},
        ),
    )
    RECORD = ("version", "updated_at", "updated_by")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RuntimeSettings]:
        """The row, made now when nothing has read it yet."""
        read_settings()
        return super().get_queryset(request)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """The last change, and the settings that this user may not change."""
        by = read_actor(request)
        return (*self.RECORD, *(name for name in FIELDS if not by.may(find_permission(name))))

    def save_model(self, request: HttpRequest, obj: RuntimeSettings, form: forms.ModelForm, change: bool) -> None:
        """Applies what was changed against the version that the page showed."""
        changes = {name: form.cleaned_data[name] for name in form.changed_data if name in FIELDS}
        based_on = form.cleaned_data["based_on"]
        apply_settings(changes=changes, version=based_on, by=read_actor(request), origin=ORIGIN)


@admin.register(RuntimeSettingsChange)
class RuntimeSettingsChangeAdmin(ReadOnlyAdmin):
    """Changes of settings: who changed what and when."""

    list_display = ("version", "changes", "changed_by", "changed_from", "changed_at")
    list_filter = ("changed_from",)
    search_fields = ("=version", "changed_by")


@admin.register(Coordinator)
class CoordinatorAdmin(ReadOnlyAdmin):
    """The process that runs the loop."""

    list_display = (
        "__str__",
        "holder",
        "lease_until",
        "last_tick_at",
        "last_launch_at",
        "enabled_changed_by",
    )


@admin.register(HostTurn)
class HostTurnAdmin(ReadOnlyAdmin):
    """When the next page may be requested from each server."""

    list_display = ("origin", "next_at")
    search_fields = ("origin",)


@admin.register(WorkerHeartbeat)
class WorkerHeartbeatAdmin(ReadOnlyAdmin):
    """The last work of each worker."""

    list_display = ("name", "last_beat_at", "doing")
    search_fields = ("name",)


@admin.register(ModelServerFault)
class ModelServerFaultAdmin(ReadOnlyAdmin):
    """Model servers that failed in a chat and did not recover since."""

    list_display = ("host", "at")


@admin.register(CounterSlot)
class CounterSlotAdmin(ReadOnlyAdmin):
    """The parts of each counter."""

    list_display = ("name", "slot", "count")
    list_filter = ("name",)
    ordering = ("name", "slot")


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Changes made by users and keys."""

    list_display = ("at", "actor", "origin", "action", "subject", "details")
    list_filter = ("origin",)
    search_fields = ("actor", "action", "subject")
