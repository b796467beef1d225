"""Admin of evidence: rows that are read, searched and followed, and never written by hand."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString


class NoEdits:
    """Refuses add, change and delete to everybody, superusers included; looking needs the view permission."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Evidence is added by the work itself."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Evidence is never rewritten."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Evidence is never taken away."""
        return False


class ReadOnlyAdmin(NoEdits, admin.ModelAdmin):
    """A list, and a page for each row. No second COUNT for a filtered list: these tables grow without end."""

    show_full_result_count = False
    list_per_page = 50


class ReadOnlyInline(NoEdits, admin.TabularInline):
    """Rows shown with what they belong to; only where a handful of rows belong to one."""

    extra = 0
    can_delete = False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """All of them, those that no form could hold included."""
        return self.fields or ()


def link_rows(model: type[Model], *, text: str, search: object) -> SafeString:
    """A link to the list of `model`, searched: for what may be more rows than a page should hold."""
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return format_html('<a href="{}?q={}">{}</a>', address, search, text)
