"""Admin of the API: the keys of its clients, and the answers kept for them."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import Field, Model
from django.http import HttpRequest

from lealife.core.action_admin import NEVER, ORIGIN, ActionAdmin, offer_each, take_over
from lealife.core.actors import read_actor
from lealife.core.readonly_admin import ReadOnlyAdmin
from lealife.keys import DAYS, DAYS_MAX, create_api_key, may_give, revoke_api_key
from lealife.models import ApiKey, IdempotentAnswer, WrongKeys


class ApiKeyForm(forms.ModelForm):
    """A key to be made: the scopes that its maker may give, and the days until it expires."""

    days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=DAYS_MAX,
        initial=DAYS,
        label="Valid for (days)",
        help_text=f"When empty, {DAYS}. The key also stops working when you may no longer sign in.",
    )

    class Meta:
        model = ApiKey
        fields = ("name", "scope")
        help_texts: ClassVar = {
            "name": "The program that uses it. The audit log shows this name.",
            "scope": "“read”: look only. “operate”: the daily work. “admin”: everything. Never more than you may do.",
        }


@admin.register(ApiKey)
class ApiKeyAdmin(ActionAdmin):
    """Keys can be made and revoked. The key itself is shown once, when it is made."""

    form = ApiKeyForm
    list_display = ("name", "prefix", "scope", "owner", "expires_at", "created_at", "last_used_at", "revoked_at")
    list_select_related = ("owner",)
    list_filter = ("scope",)
    search_fields = ("name", "prefix")
    actions = ("revoke_selected",)
    # A key that clients already use must not change what it allows. It is revoked, never deleted: the log names it.
    changes = deletes = NEVER

    ASKED = ("name", "scope", "days")
    RECORD = (
        "name",
        "scope",
        "owner",
        "expires_at",
        "prefix",
        "created_by",
        "created_at",
        "last_used_at",
        "revoked_at",
    )

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """The form of a new key, or the facts about an existing one."""
        return self.ASKED if obj is None else self.RECORD

    def formfield_for_choice_field(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Only the scopes that this person may give."""
        if db_field.name == "scope":
            by = read_actor(request)
            kwargs["choices"] = [(value, label) for value, label in ApiKey.Scope.choices if may_give(value, by=by)]
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: forms.ModelForm, change: bool) -> None:
        """Makes the key and shows it once."""
        made, secret = create_api_key(
            name=form.cleaned_data["name"],
            scope=form.cleaned_data["scope"],
            by=read_actor(request),
            origin=ORIGIN,
            owner=cast("User", request.user),
            days=form.cleaned_data["days"] or DAYS,
        )
        take_over(obj, made)
        self.message_user(request, f"The key is {secret} — save it now. It is not shown again.", messages.WARNING)

    revoke_selected = offer_each(
        revoke_api_key, row="key_id", description="Revoke at once and permanently", done="revoked"
    )


@admin.register(IdempotentAnswer)
class IdempotentAnswerAdmin(ReadOnlyAdmin):
    """Stored answers, given again to repeated requests; each is deleted after a day."""

    list_display = ("created_at", "caller", "path", "key", "status")
    search_fields = ("caller", "path", "key")


@admin.register(WrongKeys)
class WrongKeysAdmin(ReadOnlyAdmin):
    """Addresses that recently sent wrong API keys."""

    list_display = ("minute", "address", "count")
    search_fields = ("address",)
    ordering = ("-minute",)
