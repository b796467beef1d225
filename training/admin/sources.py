"""Admin of training sources: they can be queued, corrected while they wait, and changed by actions."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model, Q
from django.http import HttpRequest

from lealife.core.action_admin import NEVER, ORIGIN, ActionAdmin, offer_each
from lealife.core.actors import read_actor
from lealife.core.errors import InvalidInput
from lealife.core.import_admin import ImportAdmin
from lealife.core.long_lists import LongListAdmin
from training.models import TrainingSource
from training.sources import (
    WAITING,
    cancel_source,
    correct_source,
    disable_source,
    enable_source,
    queue_source,
    requeue_source,
)
from training.tasks import check_priority


class SourceForm(forms.ModelForm):
    """The definition of a source, held to the same checks as everywhere."""

    class Meta:
        model = TrainingSource
        fields = ("title", "host", "prompt", "check_spec", "pages_target", "priority")

    def clean_priority(self) -> int:
        """Within its bounds, which the form would otherwise name by their constraint."""
        try:
            return check_priority(self.cleaned_data["priority"])
        except InvalidInput as refused:
            raise ValidationError(str(refused)) from None


@admin.register(TrainingSource)
class TrainingSourceAdmin(ImportAdmin, ActionAdmin, LongListAdmin):
    """Training sources. One that waits can be corrected; one that has started is a record."""

    form = SourceForm
    list_display = (
        "id",
        "title",
        "kind",
        "host",
        "status",
        "priority",
        "failed_attempts",
        "queued_from",
        "created_at",
    )
    list_filter = ("status", "kind", "host")
    list_select_related = ("host",)
    search_fields = ("=id",)
    recent_fields = ("title", "prompt")
    search_help_text = "The number, the whole scenario marker, or words of title and prompt among the newest 3,000."
    autocomplete_fields = ("host",)
    actions = ("disable_selected", "enable_selected", "requeue_selected", "cancel_selected")
    adds = queue_source.permission
    changes = correct_source.permission
    # A source is cancelled, never deleted: its outcomes remain.
    deletes = NEVER
    identity = "id"

    RECORD = (
        "kind",
        "status",
        "status_reason",
        "failed_attempts",
        "campaign",
        "definition",
        "scenario_marker",
        "queued_from",
        "queued_by",
        "not_before",
        "created_at",
        "claimed_at",
        "finished_at",
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """The definition too, once the source has started."""
        if not isinstance(obj, TrainingSource):
            return ()
        return self.RECORD if obj.status in WAITING else (*SourceForm.Meta.fields, *self.RECORD)

    def find_indexed(self, term: str) -> Q:
        """The source with this scenario marker."""
        return Q(scenario_marker=term)

    def save_model(self, request: HttpRequest, obj: TrainingSource, form: forms.ModelForm, change: bool) -> None:
        """Queues a new source, or corrects one that still waits."""
        by = read_actor(request)
        if change:
            correct_source(source=obj, fields=form.changed_data, by=by, origin=ORIGIN)
            return
        definition = {name: form.cleaned_data[name] for name in SourceForm.Meta.fields}
        obj.pk = queue_source(**definition, queued_from=ORIGIN, by=by).pk

    disable_selected = offer_each(disable_source, row="source_id", description="Disable", done="disabled")
    enable_selected = offer_each(
        enable_source, row="source_id", description="Enable, with a fresh retry budget", done="enabled"
    )
    requeue_selected = offer_each(
        requeue_source, row="source_id", description="Requeue: run once more", done="requeued"
    )
    cancel_selected = offer_each(cancel_source, row="source_id", description="Cancel", done="cancelled")
