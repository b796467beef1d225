"""Admin of operator verdicts. Read-only: verdicts are given on the page of the run."""

from __future__ import annotations

from django.contrib import admin

from lealife.core.readonly_admin import ReadOnlyAdmin
from training.models import OperatorVerdict


@admin.register(OperatorVerdict)
class OperatorVerdictAdmin(ReadOnlyAdmin):
    """Verdicts on answers; the latest of a run counts."""

    list_display = ("id", "run", "right", "right_url", "by", "origin", "note", "at")
    list_filter = ("right",)
    list_select_related = ("run",)
    search_fields = ("=run__id", "by")
    search_help_text = "The run's number, or who gave it."
