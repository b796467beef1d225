"""Admin of saved task definitions: written, enabled, queued."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ActionForm
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from lealife.core.action_admin import ORIGIN, ActionAdmin, offer, offer_each, take_over
from lealife.core.actors import read_actor
from lealife.core.import_admin import ImportAdmin
from training.campaigns import SIZE_MAX
from training.definitions import (
    annotate_pending,
    delete_definition,
    disable_definition,
    enable_definition,
    queue_definition,
    read_state,
    save_definition,
)
from training.models import TaskDefinition


class DefinitionForm(forms.ModelForm):
    """The task; its host may be named later."""

    class Meta:
        model = TaskDefinition
        fields = ("title", "host", "prompt", "check_spec", "pages_target")


class DefinitionActionForm(ActionForm):
    """How many runs the action *Queue* makes of each chosen definition. Text: the action refuses in a sentence."""

    size = forms.CharField(
        required=False, label="Runs:", widget=forms.NumberInput(attrs={"min": 1, "max": SIZE_MAX, "placeholder": 1})
    )


@admin.register(TaskDefinition)
class TaskDefinitionAdmin(ImportAdmin, ActionAdmin):
    """Tasks that can be queued many times. A queued source keeps the task with which it was queued."""

    form = DefinitionForm
    list_display = ("title", "host", "state", "pending", "pages_target", "updated_by", "updated_at")
    list_filter = ("enabled", "host")
    list_select_related = ("host",)
    search_fields = ("=id", "title")
    list_per_page = 50
    autocomplete_fields = ("host",)
    action_form = DefinitionActionForm
    actions = ("queue_selected", "enable_selected", "disable_selected")
    adds = changes = save_definition.permission
    deletes = delete_definition.permission
    identity = "title"

    RECORD = ("state", "pending", "created_by", "created_at", "updated_by", "updated_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[TaskDefinition]:
        """The rows with their pending counts."""
        return annotate_pending(super().get_queryset(request))

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """The read-only fields; enabling and disabling are actions."""
        return () if obj is None else self.RECORD

    def save_model(self, request: HttpRequest, obj: TaskDefinition, form: forms.ModelForm, change: bool) -> None:
        """Saves a new definition, or what was changed of one."""
        names = form.changed_data if change else DefinitionForm.Meta.fields
        made = save_definition(
            definition_id=obj.pk,
            changes={name: form.cleaned_data[name] for name in names},
            by=read_actor(request),
            origin=ORIGIN,
        )
        take_over(obj, made)

    def delete_model(self, request: HttpRequest, obj: TaskDefinition) -> None:
        """Deletes a definition that was never queued."""
        delete_definition(definition_id=obj.pk, by=read_actor(request), origin=ORIGIN)

    @admin.display(description="state")
    def state(self, row: TaskDefinition) -> str:
        """Ready, or the reason why it cannot be queued."""
        return read_state(row)

    @admin.display(description="pending", ordering="pending")
    def pending(self, row: TaskDefinition) -> int:
        """How many of its sources wait."""
        return row.pending  # type: ignore[attr-defined]  # annotated by the queryset

    @offer(queue_definition, description="Queue runs: the number next to it, one when empty")
    def queue_selected(self, request: HttpRequest, queryset: QuerySet[TaskDefinition]) -> None:
        """Queues one run or a campaign of each chosen definition."""
        size = read_size(request.POST.get("size", ""))
        by = read_actor(request)
        self.run_action(
            request,
            queryset,
            action=lambda row: queue_definition(definition_id=row.pk, size=size, queued_from=ORIGIN, by=by),
            done="queued",
        )

    enable_selected = offer_each(enable_definition, row="definition_id", description="Enable", done="enabled")
    disable_selected = offer_each(disable_definition, row="definition_id", description="Disable", done="disabled")


def read_size(typed: str) -> int | str:
    """The size as typed, one when empty. Text that is not a number is passed on; the action refuses it."""
    typed = typed.strip()
    if not typed:
        return 1
    is_number = typed.isascii() and typed.isdecimal() and len(typed) <= len(str(SIZE_MAX))
    return int(typed) if is_number else typed[:20]
