"""Read-only admin for evidence: rows can be read and searched, never edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from lealife.core.long_lists import LongListAdmin


class NoEdits:
    """Refuses add, change and delete to everyone, including superusers; looking needs the view permission."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Evidence is added by the work itself, never rewritten and never deleted."""
        return False

    has_change_permission = has_delete_permission = has_add_permission


class ReadOnlyAdmin(NoEdits, LongListAdmin):
    """A list, and a page for each row."""


class ReadOnlyInline(NoEdits, admin.TabularInline):
    """Rows shown on the page of the row they belong to; only where these are few."""

    extra = 0
    can_delete = False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """All fields, including those that a form cannot edit."""
        return self.fields or ()


def link_rows(model: type[Model], *, text: str, search: object) -> SafeString:
    """A link to a search in the list of `model`, for rows that may be too many for one page."""
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return format_html('<a href="{}?q={}">{}</a>', address, search, text)
