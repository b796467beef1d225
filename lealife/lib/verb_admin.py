"""Admin whose writes are the product's own verbs: one change, one function, whoever asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from lealife.lib.errors import Refused

ORIGIN = "admin"
REFUSALS_SHOWN = 5
# The attribute of a request under which its refusal is carried.
_REFUSED = "lealife_refused"


def read_actor(request: HttpRequest) -> str:
    """Who is signed in, as the audit log names them."""
    return request.user.get_username()


def take_over(row: Model, made: Model) -> None:
    """Makes the admin's unsaved `row` the one that a verb has made, so that admin can log and link it."""
    row.pk = made.pk
    row.refresh_from_db()


class VerbAdmin(admin.ModelAdmin):
    """Saves and actions call verbs; a refusal becomes a form error or a message, in its own sentence."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The add or change page; when a verb refuses, the page again with what was typed and the reason."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except Refused as refused:
            # The verb rolled back. The second pass carries the refusal as a form error: it saves nothing.
            setattr(request, _REFUSED, refused)
            return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        """The form; after a refusal, one that carries it."""
        form = super().get_form(request, obj, change=change, **kwargs)
        refused: Refused | None = getattr(request, _REFUSED, None)
        return form if refused is None else _refuse_form(form, refused)

    def run_verb(self, request: HttpRequest, rows: QuerySet[Any], *, verb: Callable[[Any], object], done: str) -> None:
        """Calls `verb` on each chosen row; logs those that moved and says how many, and why others did not.

        `done` is what happened, as the log and the message say it: "cancelled".
        """
        refusals: list[str] = []
        moved = 0
        for row in rows:
            try:
                verb(row)
            except Refused as refused:
                refusals.append(str(refused))
            else:
                moved += 1
                self.log_change(request, row, f"{done.capitalize()}.")
        if moved:
            self.message_user(request, f"{moved} {done}.", messages.SUCCESS)
        for sentence in refusals[:REFUSALS_SHOWN]:
            self.message_user(request, sentence, messages.ERROR)
        if len(refusals) > REFUSALS_SHOWN:
            self.message_user(request, f"… and {len(refusals) - REFUSALS_SHOWN} more were refused.", messages.ERROR)


def _refuse_form(form: type[forms.ModelForm], refused: Refused) -> type[forms.ModelForm]:
    base: Any = form  # known only at run time

    class RefusedForm(base):
        def clean(self) -> dict[str, Any]:
            cleaned = super().clean()
            field = refused.details.get("field")
            self.add_error(field if field in self.fields else None, str(refused))
            return cleaned

    return RefusedForm
