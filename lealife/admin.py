"""Admin of LeaLife itself: its name on every page, and the keys of API clients."""

from __future__ import annotations

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from lealife.auth import create_api_key, revoke_api_key
from lealife.lib.verb_admin import ORIGIN, VerbAdmin, read_actor, take_over
from lealife.models import ApiKey
from lealife.run_admin import SteeredRunAdmin

# Registers itself; named here because this is the module that Django looks for.
__all__ = ["ApiKeyAdmin", "SteeredRunAdmin"]

admin.site.site_header = "LeaLife"
admin.site.site_title = "LeaLife"
admin.site.index_title = "What happened, what was learned, what is trusted"


@admin.register(ApiKey)
class ApiKeyAdmin(VerbAdmin):
    """Keys are made and revoked; the key itself is shown once, when it is made."""

    list_display = ("name", "prefix", "scope", "created_by", "created_at", "last_used_at", "revoked_at")
    list_filter = ("scope",)
    search_fields = ("name", "prefix")
    actions = ("revoke_selected",)

    ASKED = ("name", "scope")
    RECORD = ("name", "scope", "prefix", "created_by", "created_at", "last_used_at", "revoked_at")

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """A name and a scope; then what became of it."""
        return self.ASKED if obj is None else self.RECORD

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """A key that is out in the world does not change its meaning."""
        return () if obj is None else self.RECORD

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A key is revoked, never deleted: the audit log names it."""
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: forms.ModelForm, change: bool) -> None:
        """Makes the key and shows it this once."""
        if change:
            return
        made, secret = create_api_key(
            name=form.cleaned_data["name"],
            scope=form.cleaned_data["scope"],
            by=read_actor(request),
            origin=ORIGIN,
        )
        take_over(obj, made)
        self.message_user(request, f"The key is {secret} — keep it now: it is shown only this once.", messages.WARNING)

    @admin.action(description="Revoke, at once and for good", permissions=["change"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """Ends the chosen keys."""
        by = read_actor(request)
        self.run_verb(
            request,
            queryset,
            verb=lambda key: revoke_api_key(key_id=key.pk, by=by, origin=ORIGIN),
            done="revoked",
        )
