"""Admin of hosts. A change that may unblock pages also updates the host's curriculum."""

from __future__ import annotations

from typing import ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from lealife.core.action_admin import ORIGIN, ActionAdmin, offer_all
from lealife.core.actors import read_actor
from lealife.core.announce import announce
from learning.curriculum.looking import read_again
from learning.curriculum.seeding import reopen_blocked_pages
from training.audit import record_audit
from training.models import Host

# What decides whether an address of the host is refused.
ACCESS = frozenset({"may_be_private", "aliases", "base_url"})


class HostForm(forms.ModelForm):
    """A host's form: aliases are host names, not any JSON."""

    base_url = forms.URLField(
        label="Base URL",
        max_length=500,
        assume_scheme="https",
        help_text=Host._meta.get_field("base_url").help_text,
        widget=forms.URLInput(attrs={"class": "vURLField"}),
    )

    class Meta:
        model = Host
        fields = (
            "name",
            "base_url",
            "aliases",
            "politeness_delay_ms",
            "may_be_private",
            "stay_below_base_path",
            "seed_curriculum",
        )
        labels: ClassVar = {"politeness_delay_ms": "Politeness delay (ms)"}
        widgets: ClassVar = {"aliases": forms.Textarea(attrs={"class": "vLargeTextField", "rows": 2})}

    def clean_base_url(self) -> str:
        """Only websites."""
        url: str = self.cleaned_data["base_url"]
        if not url.startswith(("http://", "https://")):
            raise ValidationError("A website's address starts with http:// or https://.")
        return url

    def clean_aliases(self) -> list[str]:
        """A list of host names, lower-case."""
        aliases = self.cleaned_data["aliases"] or []
        if not isinstance(aliases, list) or not all(isinstance(alias, str) and alias.strip() for alias in aliases):
            raise ValidationError('Aliases are a list of host names, for example ["www.example.org"].')
        return [alias.strip().lower() for alias in aliases]


@admin.register(Host)
class HostAdmin(ActionAdmin):
    """Websites that runs may visit. Pages that were refused are read again once the host allows them.

    It stands here because `training`, where hosts belong, may not import curriculum pages from `learning`.
    """

    form = HostForm
    list_display = ("name", "base_url", "enabled", "politeness_delay_ms", "may_be_private", "last_served_at")
    list_filter = ("enabled", "may_be_private", "seed_curriculum")
    search_fields = ("name", "base_url")
    readonly_fields = ("last_served_at", "created_at")
    actions = ("read_again_selected",)

    read_again_selected = offer_all(
        read_again,
        rows="host_ids",
        description="Read again, those pages too that could not be read",
        done="pages are due",
        note="To be read again.",
    )

    def has_view_permission(self, request: HttpRequest, obj: Host | None = None) -> bool:
        """True for all staff, because pages show the hosts and forms offer them."""
        return True

    def save_model(self, request: HttpRequest, obj: Host, form: forms.ModelForm, change: bool) -> None:
        """Saves only the changed fields: a claim may write the host's turn at the same moment.

        Blocked pages become due again when the change may unblock them.
        """
        if change:
            obj.save(update_fields=form.changed_data)
        else:
            obj.save()
        record_audit(
            actor=read_actor(request),
            origin=ORIGIN,
            action="change host" if change else "add host",
            subject=f"host {obj.name}",
            details={"fields": form.changed_data},
        )
        if change and not ACCESS.isdisjoint(form.changed_data):
            reopen_blocked_pages(host_id=obj.pk, now=timezone.now())
        announce("sources")

    def delete_model(self, request: HttpRequest, obj: Host) -> None:
        """Deletes a host that nothing refers to."""
        with transaction.atomic():
            record_audit(actor=read_actor(request), origin=ORIGIN, action="delete host", subject=f"host {obj.name}")
            obj.delete()
            announce("sources")
