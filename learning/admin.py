"""Admin of what was learned, read-only. Memory items stand in `lealife/admin/memory.py`."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from lealife.core.action_admin import ORIGIN, take_over
from lealife.core.actors import read_actor
from lealife.core.import_admin import ImportAdmin
from lealife.core.readonly_admin import ReadOnlyAdmin
from learning.cases import add_case
from learning.models import (
    CurriculumTask,
    FrontierPage,
    HostIndex,
    IndexedPage,
    IndexedPassage,
    MemoryCount,
    MemoryEvidence,
    MissingPage,
    RunLearningOutcome,
    TermCount,
    VectorModel,
)


@admin.register(MemoryCount)
class MemoryCountAdmin(ReadOnlyAdmin):
    """The parts of each count of memory items."""

    list_display = ("name", "slot", "count")
    list_filter = ("name",)
    ordering = ("name", "slot")


@admin.register(MemoryEvidence)
class MemoryEvidenceAdmin(ReadOnlyAdmin):
    """Which outcomes support which memory item."""

    list_display = ("id", "item", "outcome", "url", "created_at")
    list_select_related = ("item", "outcome")
    search_fields = ("=item__id",)
    search_help_text = "The item's number."
    ordering = ("-id",)


@admin.register(RunLearningOutcome)
class RunLearningOutcomeAdmin(ReadOnlyAdmin):
    """Which outcomes have been ingested."""

    list_display = ("id", "outcome", "success", "is_counted", "items_written", "ingested_at")
    list_filter = ("success", "is_counted")
    list_select_related = ("outcome",)
    search_fields = ("=outcome__id",)
    search_help_text = "The outcome's number."


@admin.register(FrontierPage)
class FrontierPageAdmin(ReadOnlyAdmin):
    """Pages that the curriculum's crawl knows of."""

    list_display = ("id", "host", "url", "depth", "state", "error_code", "created_at")
    list_filter = ("state", "host")
    list_select_related = ("host",)
    search_fields = ("url",)


@admin.register(MissingPage)
class MissingPageAdmin(ReadOnlyAdmin):
    """The pages with which hosts answer for addresses that do not exist."""

    list_display = ("id", "host", "digest", "asked_at")
    list_select_related = ("host",)


class CaseForm(forms.ModelForm):
    """A question of a host's own set, with the page that answers it and the words there."""

    class Meta:
        model = CurriculumTask
        fields = ("host", "prompt", "expected_url", "passage")


@admin.register(CurriculumTask)
class CurriculumTaskAdmin(ImportAdmin, ReadOnlyAdmin):
    """Verifiable tasks seeded from pages, and people's cases; the evaluation split is never trained on.

    Rows cannot be edited. Cases can be exported and imported: they are the question sets of hosts.
    """

    row_form = CaseForm

    list_display = (
        *("id", "prompt", "host", "kind", "split", "ambiguous", "gone_at", "replaced_at"),
        *("difficulty", "attempts", "successes", "streak"),
    )
    list_filter = ("kind", "split", "ambiguous", "host")
    list_select_related = ("host",)
    search_fields = ("=id", "prompt")

    def get_export_queryset(self, request: HttpRequest) -> QuerySet[CurriculumTask]:
        """The cases of the list that count."""
        rows: QuerySet[CurriculumTask] = super().get_export_queryset(request)
        return rows.filter(kind=CurriculumTask.Kind.PERSON, replaced_at=None)

    def may_import(self, request: HttpRequest, found: Any = None) -> bool:
        """Who may judge answers."""
        return read_actor(request).may(add_case.permission)

    def find_row(self, row: dict[str, Any]) -> CurriculumTask | None:
        """The case of the same question on the same host."""
        host, prompt = (str(row.get(name) or "").strip() for name in ("host", "prompt"))
        return CurriculumTask.objects.cases().filter(host__name=host, prompt__iexact=prompt).first()

    def save_model(self, request: HttpRequest, obj: CurriculumTask, form: forms.ModelForm, change: bool) -> None:
        """Adds the case, or one that replaces it."""
        task = form.cleaned_data
        made = add_case(
            host=task["host"],
            prompt=task["prompt"],
            url=task["expected_url"],
            text=task["passage"],
            by=read_actor(request),
            origin=ORIGIN,
        )
        take_over(obj, made)


@admin.register(HostIndex)
class HostIndexAdmin(ReadOnlyAdmin):
    """How large the index of each host is."""

    list_display = ("host", "passages", "counted_passages", "changed_since")
    list_select_related = ("host",)


@admin.register(IndexedPage)
class IndexedPageAdmin(ReadOnlyAdmin):
    """Pages that can be searched."""

    list_display = ("title", "url", "host", "updated_at")
    list_select_related = ("host",)
    search_fields = ("url", "title")


@admin.register(IndexedPassage)
class IndexedPassageAdmin(ReadOnlyAdmin):
    """The passages of those pages."""

    list_display = ("heading", "page", "place")
    list_select_related = ("page",)
    exclude = ("vector",)


@admin.register(VectorModel)
class VectorModelAdmin(ReadOnlyAdmin):
    """The models that made vectors, newest first."""

    list_display = ("id", "name", "digest", "noted_at")


@admin.register(TermCount)
class TermCountAdmin(ReadOnlyAdmin):
    """How many passages hold a word."""

    list_display = ("term", "passages", "host")
    list_select_related = ("host",)
    search_fields = ("term",)
