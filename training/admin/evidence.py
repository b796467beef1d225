"""Admin of evidence: steps, pages, cycles, outcomes, verdicts and the hash chain. Read, never written."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from lealife.core.readonly_admin import ReadOnlyAdmin
from training.models import (
    ChainAnchor,
    ChainCheck,
    Host,
    OperatorVerdict,
    OutcomeSeal,
    PageSnapshot,
    Step,
    TrainingCycle,
    TrainingOutcome,
)


@admin.register(Step)
class StepAdmin(ReadOnlyAdmin):
    """Steps: the shortlist, the pick and the answer of the site."""

    list_display = ("id", "run", "index", "url", "status_code", "picked_by", "latency_ms", "error_code")
    list_filter = ("picked_by",)
    list_select_related = ("run",)
    search_fields = ("=run__id",)
    search_help_text = "The run's number."
    ordering = ("-id",)


@admin.register(PageSnapshot)
class PageSnapshotAdmin(ReadOnlyAdmin):
    """Stored contents of pages."""

    list_display = ("digest", "media_type", "size", "created_at")
    search_fields = ("digest__startswith",)
    search_help_text = "The beginning of the page's sha256."
    # The primary key: the table has no index by time, and needs none.
    ordering = ("digest",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PageSnapshot]:
        """Without the pages' bodies."""
        return super().get_queryset(request).defer("body_zlib")


@admin.register(TrainingCycle)
class TrainingCycleAdmin(ReadOnlyAdmin):
    """Sources turned into runs."""

    list_display = ("id", "source", "run", "status", "error_code", "opened_at", "finished_at")
    list_filter = ("status",)
    list_select_related = ("source", "run")
    search_fields = ("=id", "=run__id", "=source__id")
    search_help_text = "The number of the cycle, its run or its source."


@admin.register(TrainingOutcome)
class TrainingOutcomeAdmin(ReadOnlyAdmin):
    """How cycles ended. Append-only: Postgres refuses any change."""

    list_display = (
        "id",
        "success",
        "answer_state",
        "is_counted",
        "error_code",
        "verifier",
        "host",
        "lane",
        "controller_tag",
        "pages",
        "controller_calls",
        "duration_ms",
        "created_at",
    )
    list_filter = ("success", "answer_state", "is_counted", "lane", "host")
    list_select_related = ("host",)
    search_fields = ("=id", "=run__id", "=source__id")
    recent_fields = ("error_code", "run__error")
    search_help_text = (
        "The number of the outcome, its run or its source; or the name of its host, "
        "or words of its error among the newest 3,000 outcomes."
    )

    def find_indexed(self, term: str) -> Q:
        """The outcomes of hosts with such a name."""
        return Q(host__in=list(Host.objects.filter(name__icontains=term)))


@admin.register(OperatorVerdict)
class OperatorVerdictAdmin(ReadOnlyAdmin):
    """Verdicts on answers, given on the page of the run; the latest of a run counts."""

    list_display = ("id", "run", "right", "right_url", "by", "origin", "note", "at")
    list_filter = ("right",)
    list_select_related = ("run",)
    search_fields = ("=run__id", "by")
    search_help_text = "The run's number, or who gave it."


@admin.register(OutcomeSeal)
class OutcomeSealAdmin(ReadOnlyAdmin):
    """The hash chain."""

    list_display = ("row", "outcome", "hash", "sealed_at")
    list_select_related = ("outcome",)
    search_fields = ("=row", "=outcome__id", "hash__startswith")
    search_help_text = "The row, the outcome's number, or the beginning of the hash."


@admin.register(ChainCheck)
class ChainCheckAdmin(ReadOnlyAdmin):
    """How far the chain has been verified."""

    list_display = ("__str__", "broken_at", "fault", "pass_started_at", "checked_at")


@admin.register(ChainAnchor)
class ChainAnchorAdmin(ReadOnlyAdmin):
    """Earlier lengths of the chain. It must never be shorter."""

    list_display = ("rows", "hash", "at")
