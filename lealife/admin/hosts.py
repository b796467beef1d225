"""Admin of hosts. A change that may unblock pages also updates the host's curriculum."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from lealife.core.action_admin import offer_all
from learning.curriculum.looking import read_again
from learning.curriculum.seeding import reopen_blocked_pages
from training.admin.hosts import HostAdmin
from training.models import Host

# What decides whether an address of the host is refused.
ACCESS = frozenset({"may_be_private", "aliases", "base_url"})


class SteeredHostAdmin(HostAdmin):
    """Websites that runs may visit. Pages that were refused are read again once the host allows them."""

    actions = ("read_again_selected",)

    read_again_selected = offer_all(
        read_again,
        rows="host_ids",
        description="Read again, those pages too that could not be read",
        done="pages are due",
        note="To be read again.",
    )

    def save_model(self, request: HttpRequest, obj: Host, form: forms.ModelForm, change: bool) -> None:
        """Saves the host. Blocked pages become due again when the change may unblock them."""
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if change and not ACCESS.isdisjoint(form.changed_data):
                reopen_blocked_pages(host_id=obj.pk, now=timezone.now())


# This admin stands here because `training`, where hosts belong, may not import curriculum pages from `learning`.
admin.site.unregister(Host)
admin.site.register(Host, SteeredHostAdmin)
