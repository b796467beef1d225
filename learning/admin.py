"""Admin of what was learned, read-only. Memory items stand in `lealife/admin/memory.py`."""

from __future__ import annotations

from django.contrib import admin

from lealife.core.readonly_admin import ReadOnlyAdmin
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


@admin.register(CurriculumTask)
class CurriculumTaskAdmin(ReadOnlyAdmin):
    """Verifiable tasks seeded from pages, and cases from verdicts; the evaluation split is never trained on."""

    list_display = (
        *("id", "prompt", "host", "kind", "split", "ambiguous", "gone_at", "replaced_at"),
        *("difficulty", "attempts", "successes", "streak"),
    )
    list_filter = ("kind", "split", "ambiguous", "host")
    list_select_related = ("host",)
    search_fields = ("=id", "prompt")


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
