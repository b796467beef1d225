"""Admin of hosts. A change that may unblock pages also updates the host's curriculum."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from lealife.admin.host_facts import foretell_archive, foretell_forget, foretell_unarchive, read_facts
from lealife.core.action_admin import ORIGIN, ActionAdmin, offer, offer_all
from lealife.core.actors import Action, read_actor
from lealife.core.announce import announce
from lealife.core.import_admin import ImportAdmin
from lealife.site_check import check_site
from learning.curriculum.looking import read_again
from learning.curriculum.seeding import reopen_blocked_pages
from learning.memory import purge_memory
from training.agent.web.address import canonical_url
from training.audit import record_audit
from training.hosts import archive_host, unarchive_host
from training.models import Host
from training.tasks import clean_text

# What decides whether an address of the host is refused.
ACCESS = frozenset({"may_be_private", "aliases", "base_url"})
# Each check may take half a minute, and someone waits for it.
CHECKED_AT_ONCE = 3
REASON_MAX = 300
# What the page says that asks for a confirmation.
FORETOLD = {
    "archive_selected": foretell_archive,
    "unarchive_selected": foretell_unarchive,
    "forget_selected": foretell_forget,
}


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
        """Only what a run can visit."""
        url: str = self.cleaned_data["base_url"]
        try:
            canonical_url(url)
        except ValueError as error:
            raise ValidationError(f"No run can visit it: {error}.") from None
        return url

    def clean_aliases(self) -> list[str]:
        """A list of host names, lower-case."""
        aliases = self.cleaned_data["aliases"] or []
        if not isinstance(aliases, list) or not all(isinstance(alias, str) and alias.strip() for alias in aliases):
            raise ValidationError('Aliases are a list of host names, for example ["www.example.org"].')
        return [clean_text(alias).strip().lower() for alias in aliases]


@admin.register(Host)
class HostAdmin(ImportAdmin, ActionAdmin):
    """Websites that runs may visit: each with what is known of it, and checked once when it is saved.

    It stands here because `training`, where hosts belong, may not import curriculum pages from `learning`.
    """

    form = HostForm
    list_display = ("name", "base_url", "enabled", "politeness_delay_ms", "may_be_private", "last_served_at")
    list_filter = ("enabled", "may_be_private", "seed_curriculum")
    search_fields = ("name", "base_url")
    readonly_fields = ("last_served_at", "created_at")
    actions = ("check_selected", "read_again_selected", "archive_selected", "unarchive_selected", "forget_selected")
    identity = "name"

    read_again_selected = offer_all(
        read_again,
        rows="host_ids",
        description="Read again: all pages, also those that could not be read",
        done="pages are due",
        note="To be read again.",
    )

    @admin.action(permissions=["change"], description="Check now: can it be reached and read?")
    def check_selected(self, request: HttpRequest, queryset: QuerySet[Host]) -> None:
        """Asks the first few of the chosen sites for their start page."""
        for host in queryset[:CHECKED_AT_ONCE]:
            self._check(request, host)

    @offer(archive_host, description="Archive: stop using it, keep everything")
    def archive_selected(self, request: HttpRequest, queryset: QuerySet[Host]) -> HttpResponse | None:
        """Archives hosts, after a page that says what that does."""
        return self._switch(request, queryset, archive_host, done="archived")

    @offer(unarchive_host, description="Unarchive: use it again")
    def unarchive_selected(self, request: HttpRequest, queryset: QuerySet[Host]) -> HttpResponse | None:
        """Brings hosts back, after a page that says what that does."""
        return self._switch(request, queryset, unarchive_host, done="back in use")

    @offer(purge_memory, description="Forget: delete its memory and passages, keep its evidence")
    def forget_selected(self, request: HttpRequest, queryset: QuerySet[Host]) -> HttpResponse | None:
        """Forgets one host, once its name was typed on the page that says what goes."""
        if queryset.count() != 1:
            self.message_user(request, "Choose one host: to forget it, its name is typed.", messages.ERROR)
            return None
        name = queryset.get().name
        if request.POST.get("typed", "").strip() != name:
            if "confirmed" in request.POST:
                self.message_user(request, f"Nothing was forgotten: first type “{name}”.", messages.ERROR)
            return self._confirm(request, queryset, typed=name)
        given: dict[str, Any] = {"outcome_id": None, "since": None, "by": read_actor(request), "origin": ORIGIN}
        self.run_action(request, queryset, action=lambda host: purge_memory(host_id=host.pk, **given), done="forgotten")
        return None

    def _switch(
        self, request: HttpRequest, hosts: QuerySet[Host], action: Action[..., None], *, done: str
    ) -> HttpResponse | None:
        if "confirmed" not in request.POST:
            return self._confirm(request, hosts)
        reason = request.POST.get("reason", "").strip()[:REASON_MAX]
        given = {"by": read_actor(request), "origin": ORIGIN, "reason": reason}
        self.run_action(request, hosts, action=lambda host: action(host_id=host.pk, **given), done=done)
        return None

    def _confirm(self, request: HttpRequest, hosts: QuerySet[Host], *, typed: str = "") -> HttpResponse:
        """The page that says what the chosen action will do; it asks for `typed`, or for a reason."""
        name = request.POST["action"]
        title = str(self.get_actions(request)[name][2])
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "label": title.partition(":")[0],
            "hosts": [(host, FORETOLD[name](host)) for host in hosts],
            "action": name,
            "checkbox": ACTION_CHECKBOX_NAME,
            "page_of": read_page_of(request),
            "typed": typed,
            "reason_max": REASON_MAX,
        }
        return TemplateResponse(request, "admin/training/host/confirm.html", context)

    def _check(self, request: HttpRequest, host: Host) -> None:
        finding = check_site(host)
        level = messages.SUCCESS if finding.is_good else messages.WARNING
        self.message_user(request, f"Host {host.name}: {finding.words}", level)

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """As Django does it; but an action from a host's own page leads back to that page."""
        answer = super().response_action(request, queryset, *args, **kwargs)
        page_of = read_page_of(request)
        is_done = answer is not None and answer.status_code == 302
        return redirect("admin:training_host_change", page_of) if is_done and page_of else answer

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Host | None = None,
    ) -> HttpResponse:
        """The form of a host, below what is known of it and what can be done with it."""
        if obj is not None:
            context["facts"] = [(fact, self._link(request, fact.model, obj)) for fact in read_facts(obj)]
            useless = ["unarchive_selected"] if obj.enabled else ["archive_selected", "check_selected"]
            hidden = {"delete_selected", *useless}
            offered = {name: str(action[2]).partition(": ") for name, action in self.get_actions(request).items()}
            context["offers"] = [
                (name, label, meaning) for name, (label, _, meaning) in offered.items() if name not in hidden
            ]
            context["checkbox"] = ACTION_CHECKBOX_NAME
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _link(self, request: HttpRequest, model: type[Model] | None, host: Host) -> str:
        """The list of the host's rows, for those who may look at it."""
        if model is None or not self.admin_site.get_model_admin(model).has_view_permission(request):
            return ""
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        return f"{address}?host__id__exact={host.pk}"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Host], search_term: str
    ) -> tuple[QuerySet[Host], bool]:
        """What a search finds. Choosers of other forms, which search here too, offer no archived host."""
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        is_chooser = request.path == reverse("admin:autocomplete")
        return found.filter(enabled=True) if is_chooser else found, may_repeat

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

    def save_related(self, request: HttpRequest, form: forms.ModelForm, formsets: Any, change: bool) -> None:
        """Has the site checked after the commit. Pages alone call this: an import saves too many hosts for it."""
        super().save_related(request, form, formsets, change)
        if not change or not ACCESS.isdisjoint(form.changed_data):
            transaction.on_commit(partial(self._check, request, form.instance), robust=True)

    def delete_model(self, request: HttpRequest, obj: Host) -> None:
        """Deletes a host that nothing refers to."""
        with transaction.atomic():
            record_audit(actor=read_actor(request), origin=ORIGIN, action="delete host", subject=f"host {obj.name}")
            obj.delete()
            announce("sources")


def read_page_of(request: HttpRequest) -> str:
    """The number of the host from whose page an action came; empty for the list."""
    number = request.POST.get("page_of", "")
    return number if number.isdecimal() else ""
