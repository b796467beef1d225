"""Admin of memory, which can be retired or purged; everything else is read-only."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import Min, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from lealife.core.action_admin import ORIGIN, ActionAdmin, offer, offer_all
from lealife.core.actors import read_actor
from lealife.core.readonly_admin import ReadOnlyAdmin, link_rows
from learning.memory import purge_memory, retire_items, trust_items
from learning.models import (
    CurriculumTask,
    FrontierPage,
    HostIndex,
    IndexedPage,
    IndexedPassage,
    MemoryCount,
    MemoryEvidence,
    MemoryItem,
    MissingPage,
    RunLearningOutcome,
    TermCount,
    VectorModel,
)

CONFIRMATION = "purge"


class MemoryActionForm(ActionForm):
    """The word that a user must type for a purge."""

    confirm = forms.CharField(
        required=False, label=f"To purge, type “{CONFIRMATION}”:", widget=forms.TextInput(attrs={"size": 8})
    )


@admin.register(MemoryItem)
class MemoryItemAdmin(ReadOnlyAdmin, ActionAdmin):
    """Shared memory. Its text comes from pages and is never edited; items can be retired, or purged by origin."""

    list_display = (
        "id",
        "kind",
        "host",
        "status",
        "reason",
        "title",
        "sightings",
        "recalled_count",
        "checked_count",
        "helped_count",
        "updated_at",
    )
    list_filter = ("status", "reason", "kind", "host")
    list_select_related = ("host",)
    search_fields = ("=id", "title", "url")
    exclude = ("search",)
    readonly_fields = ("evidence_rows",)
    action_form = MemoryActionForm
    actions = ("trust_selected", "retire_selected", "purge_outcomes", "purge_hosts", "purge_since")

    @admin.display(description="evidence")
    def evidence_rows(self, item: MemoryItem) -> SafeString:
        """The outcomes and pages that it comes from."""
        return link_rows(MemoryEvidence, text="What taught it", search=item.pk)

    retire_selected = offer_all(
        retire_items,
        rows="item_ids",
        description="Retire: no run recalls them any more",
        done="retired",
        note="Retired.",
    )
    # Retired and quarantined ones too.
    trust_selected = offer_all(
        trust_items, rows="item_ids", description="Trust: runs recall them again", done="trusted", note="Trusted."
    )

    @offer(purge_memory, description="Purge all that was learned from the same outcomes")
    def purge_outcomes(self, request: HttpRequest, queryset: QuerySet[MemoryItem]) -> None:
        """Deletes every item that came from the chosen items' first outcomes."""
        outcomes = set(queryset.filter(first_outcome__isnull=False).values_list("first_outcome_id", flat=True))
        self._purge(request, [{"outcome_id": outcome_id} for outcome_id in sorted(outcomes)])

    @offer(purge_memory, description="Purge all memory of the same hosts")
    def purge_hosts(self, request: HttpRequest, queryset: QuerySet[MemoryItem]) -> None:
        """Deletes every item of the chosen items' hosts."""
        hosts = set(queryset.values_list("host_id", flat=True))
        self._purge(request, [{"host_id": host_id} for host_id in sorted(hosts)])

    @offer(purge_memory, description="Purge all that was learned since the oldest of these")
    def purge_since(self, request: HttpRequest, queryset: QuerySet[MemoryItem]) -> None:
        """Deletes every item, of any host, that is not older than the oldest chosen one."""
        self._purge(request, [{"since": queryset.aggregate(oldest=Min("created_at"))["oldest"]}])

    def _purge(self, request: HttpRequest, scopes: list[dict[str, Any]]) -> None:
        if request.POST.get("confirm", "").strip().lower() != CONFIRMATION:
            self.message_user(
                request, f"Nothing was purged. First type “{CONFIRMATION}” next to the action.", messages.ERROR
            )
            return
        nothing = {"host_id": None, "outcome_id": None, "since": None}
        purged = sum(purge_memory(**nothing | scope, by=read_actor(request), origin=ORIGIN) for scope in scopes)
        self.message_user(request, f"{purged} purged.", messages.SUCCESS)


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
