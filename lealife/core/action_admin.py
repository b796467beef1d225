"""Admin whose writes call the product's own actions, so that admin, page and API change data in the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from lealife.core.actors import Action, read_actor
from lealife.core.errors import Refused

Names = list[str] | tuple[str, ...]
ORIGIN = "admin"
# Stands for a permission, where admin lets no one do it.
NEVER = "never"
REFUSALS_SHOWN = 5
# The attribute of a request under which its refusal is carried.
_REFUSED = "lealife_refused"


def offer(action: Action[..., Any], *, description: str) -> Callable[[Any], Any]:
    """Makes a method an admin action that calls `action`; only users with its permission see it and may use it."""

    def decorate(method: Any) -> Any:
        method.short_description = description
        method.needs = action.permission
        return method

    return decorate


def offer_each(action: Action[..., Any], *, row: str, description: str, done: str, **more: Any) -> Any:
    """An admin action that calls `action` for each chosen row, with its id as the argument `row`, and with `more`.

    `done` is what happened, as the log and the message say it: "cancelled".
    """

    @offer(action, description=description)
    def act(site: ActionAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        given = {"by": read_actor(request), "origin": ORIGIN, **more}
        site.run_action(request, queryset, action=lambda chosen: action(**{row: chosen.pk}, **given), done=done)

    return act


def offer_all(action: Action[..., int], *, rows: str, description: str, done: str, note: str) -> Any:
    """An admin action that calls `action` once, with the ids of all chosen rows as the argument `rows`.

    `done` follows the number that the action returns: "retired". `note` is what the log says of each row.
    """

    @offer(action, description=description)
    def act(site: ActionAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        chosen = list(queryset)
        count = action(**{rows: [row.pk for row in chosen]}, by=read_actor(request), origin=ORIGIN)
        for row in chosen:
            site.log_change(request, row, note)
        site.message_user(request, f"{count} {done}.", messages.SUCCESS)

    return act


def take_over(row: Model, made: Model) -> None:
    """Copies the row that an action has made into the admin's unsaved `row`, so that admin can log and link it."""
    row.pk = made.pk
    row.refresh_from_db()


class ActionAdmin(admin.ModelAdmin):
    """Admin whose pages and menus call the product's actions. A refusal is shown as a form error or a message.

    `adds`, `changes` and `deletes` are the permissions of the actions behind those pages, or NEVER; empty means
    Django's own permission. A user who may do any of the actions may also look.
    """

    adds, changes, deletes = "", "", ""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _may(request, self.adds) if self.adds else super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether the change page has a Save button."""
        return _may(request, self.changes) if self.changes else super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may(request, self.deletes) if self.deletes else super().has_delete_permission(request, obj)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Django's permission to look, or any of the actions here."""
        by = read_actor(request)
        own = (getattr(getattr(self, str(name), None), "needs", None) for name in self.actions or ())
        return super().has_view_permission(request, obj) or any(by.may(needed) for needed in own if needed)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The actions that this person may take; Django refuses every other."""
        by = read_actor(request)
        found: dict[str, Any] = super().get_actions(request)
        needed = {name: getattr(action[0], "needs", None) for name, action in found.items()}
        return {name: action for name, action in found.items() if needed[name] is None or by.may(str(needed[name]))}

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The add or change page; when an action refuses, the page again with what was typed and the reason."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except Refused as refused:
            # The action was rolled back. This second pass only shows the refusal as a form error and saves nothing.
            setattr(request, _REFUSED, refused)
            return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        """The form; after a refusal, one that carries it."""
        form = super().get_form(request, obj, change=change, **kwargs)
        refused: Refused | None = getattr(request, _REFUSED, None)
        return form if refused is None else _refuse_form(form, refused)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Names:
        """Fields that are only shown; on a new row, without those that the database sets later."""
        shown: Names = super().get_readonly_fields(request, obj)
        if obj is not None:
            return shown
        later = {field.name for field in self.opts.fields if field.has_db_default()}
        return [name for name in shown if name not in later]

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Deletes the chosen rows one by one, each with its audit entry."""
        for row in queryset:
            self.delete_model(request, row)

    def run_action(
        self, request: HttpRequest, rows: QuerySet[Any], *, action: Callable[[Any], object], done: str
    ) -> None:
        """Calls `action` on each chosen row; logs those that moved and says how many, and why others did not.

        `done` is what happened, as the log and the message say it: "cancelled".
        """
        refusals: list[str] = []
        moved = 0
        for row in rows:
            try:
                action(row)
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


def _may(request: HttpRequest, permission: str) -> bool:
    return permission != NEVER and read_actor(request).may(permission)


def _refuse_form(form: type[forms.ModelForm], refused: Refused) -> type[forms.ModelForm]:
    base: Any = form  # known only at run time

    class RefusedForm(base):
        def clean(self) -> dict[str, Any]:
            cleaned = super().clean()
            field = refused.details.get("field")
            self.add_error(field if field in self.fields else None, str(refused))
            return cleaned

    return RefusedForm
