"""Admin of memory: searched as recall does it; items are corrected, vouched for, retired and purged."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.postgres.search import SearchQuery
from django.core.exceptions import PermissionDenied
from django.db.models import Min, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from lealife.core.action_admin import NEVER, ORIGIN, ActionAdmin, offer, offer_all, take_over
from lealife.core.actors import read_actor
from lealife.core.errors import Refused
from lealife.core.long_lists import LongListAdmin
from lealife.core.readonly_admin import link_rows
from lealife.pipeline.memories import recall_for_run
from learning.memory import purge_memory, retire_items, trust_items
from learning.memory_search import SEARCH_CONFIG, split_identifiers
from learning.models import MemoryEvidence, MemoryItem
from learning.versions import correct_item, may_be_corrected
from promotion.routing import read_routing
from training.agent.brain import INDEXED, MISLED, NAMED, PASSAGE, PITFALL, RULED_OUT
from training.models import Host

CONFIRMATION = "purge"
# What a run makes of each kind of what it is given.
USES = {
    PASSAGE: "passage of the site",
    "page": "page that memory knows",
    "route": "page that answered before",
    NAMED: "named by a person: visited first",
    INDEXED: "page where runs begin",
}
AVOIDED = {
    MISLED: "misled a question like this: left for last",
    PITFALL: "failed before: ranked lower",
    RULED_OUT: "lacks the quoted words: left for last",
}


class RecallForm(forms.Form):
    """A question to a host."""

    host = forms.ModelChoiceField(Host.objects.filter(enabled=True))
    question = forms.CharField(max_length=2_000, widget=forms.TextInput(attrs={"size": 80}))


class CorrectionForm(forms.ModelForm):
    """Other words of the page, and the reason for them."""

    why = forms.CharField(label="Why", widget=forms.TextInput(attrs={"class": "vTextField"}))

    class Meta:
        model = MemoryItem
        fields = ("title", "text")
        help_texts: ClassVar = {"text": "Words of the kept page. Saving makes a new version and retires this one."}


class MemoryActionForm(ActionForm):
    """The word that a user must type for a purge."""

    confirm = forms.CharField(
        required=False, label=f"To purge, type “{CONFIRMATION}”:", widget=forms.TextInput(attrs={"size": 8})
    )


@admin.register(MemoryItem)
class MemoryItemAdmin(ActionAdmin, LongListAdmin):
    """Shared memory. Its words come from pages: a correction chooses other words of the page, as a new version.

    It stands here because `learning`, where memory belongs, may not import what a run is given.
    """

    form = CorrectionForm
    list_display = (
        "id",
        "kind",
        "host",
        "status",
        "reason",
        "title",
        "sightings",
        "recalled_count",
        "checked_count",
        "helped_count",
        "updated_at",
    )
    list_filter = ("status", "reason", "kind", "host")
    list_select_related = ("host",)
    search_fields = ("=id",)
    recent_fields = ("url",)
    search_help_text = "The item's number, words of its page, or a part of its address among the newest 3,000."
    action_form = MemoryActionForm
    actions = ("trust_selected", "retire_selected", "purge_outcomes", "purge_hosts", "purge_since")
    changes = correct_item.permission
    # Memory comes from pages, so no one adds an item by hand. Only a purge deletes items.
    adds = deletes = NEVER

    RECORD = (
        *("host", "kind", "status", "reason", "url", "data", "sightings"),
        *("recalled_count", "checked_count", "helped_count"),
        *("corrected_by", "corrected_why", "older_version", "replaced_by"),
        *("first_outcome", "evidence_rows", "content_hash", "snapshot_digest", "key", "created_at", "updated_at"),
    )
    readonly_fields = RECORD

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The words, and the reason when they can be corrected; then what is recorded."""
        asked = ["why"] if self.has_change_permission(request, obj) else []
        return [*CorrectionForm.Meta.fields, *asked, *self.RECORD]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether this person may correct the item. A form that is sent without that right is refused by the action."""
        is_open = obj is None or request.method == "POST" or may_be_corrected(obj)
        return is_open and super().has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: MemoryItem, form: forms.ModelForm, change: bool) -> None:
        """Makes the new version."""
        words = {name: form.cleaned_data[name] for name in ("title", "text", "why")}
        take_over(obj, correct_item(item_id=obj.pk, **words, by=read_actor(request), origin=ORIGIN))

    def find_indexed(self, term: str) -> Q:
        """The items whose page holds these words."""
        return Q(search=SearchQuery(split_identifiers(term), config=SEARCH_CONFIG))

    def get_urls(self) -> list[URLPattern]:
        """With the page that searches as recall does."""
        page = self.admin_site.admin_view(self.show_recalled)
        return [path("recalled/", page, name="learning_memoryitem_recalled"), *super().get_urls()]

    def show_recalled(self, request: HttpRequest) -> HttpResponse:
        """What a question that is asked now would be given, by recall itself."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        form = RecallForm(request.GET or None)
        context = self.admin_site.each_context(request) | {"title": "What a run would be given", "opts": self.opts}
        if form.is_valid():
            host, question = form.cleaned_data["host"], form.cleaned_data["question"]
            try:
                controller, _ = read_routing().require()
                recalled = recall_for_run(host_id=host.pk, prompt=question, controller=controller, trains=False)
            except Refused as refused:
                form.add_error(None, str(refused))
            else:
                context["given"] = [(item, USES[item.kind]) for item in recalled if item.kind in USES]
                context["avoided"] = [(item, AVOIDED[item.kind]) for item in recalled if item.kind in AVOIDED]
        return TemplateResponse(request, "admin/learning/memoryitem/recalled.html", context | {"form": form})

    @admin.display(description="older version")
    def older_version(self, item: MemoryItem) -> SafeString | str:
        """The item whose words these have replaced."""
        older = item.replaced.first()
        return link_rows(MemoryItem, text=f"Item {older.pk}", search=older.pk) if older else "-"

    @admin.display(description="evidence")
    def evidence_rows(self, item: MemoryItem) -> SafeString:
        """The outcomes and pages that it comes from."""
        return link_rows(MemoryEvidence, text="What taught it", search=item.pk)

    retire_selected = offer_all(
        retire_items,
        rows="item_ids",
        description="Retire: no run recalls them any more",
        done="retired",
        note="Retired.",
    )
    # Retired and quarantined ones too.
    trust_selected = offer_all(
        trust_items, rows="item_ids", description="Trust: runs recall them again", done="trusted", note="Trusted."
    )

    @offer(purge_memory, description="Purge all that was learned from the same outcomes")
    def purge_outcomes(self, request: HttpRequest, queryset: QuerySet[MemoryItem]) -> None:
        """Deletes every item that came from the chosen items' first outcomes."""
        outcomes = set(queryset.filter(first_outcome__isnull=False).values_list("first_outcome_id", flat=True))
        self._purge(request, [{"outcome_id": outcome_id} for outcome_id in sorted(outcomes)])

    @offer(purge_memory, description="Purge all memory of the same hosts")
    def purge_hosts(self, request: HttpRequest, queryset: QuerySet[MemoryItem]) -> None:
        """Deletes every item of the chosen items' hosts."""
        hosts = set(queryset.values_list("host_id", flat=True))
        self._purge(request, [{"host_id": host_id} for host_id in sorted(hosts)])

    @offer(purge_memory, description="Purge all that was learned since the oldest of these")
    def purge_since(self, request: HttpRequest, queryset: QuerySet[MemoryItem]) -> None:
        """Deletes every item, of any host, that is not older than the oldest chosen one."""
        self._purge(request, [{"since": queryset.aggregate(oldest=Min("created_at"))["oldest"]}])

    def _purge(self, request: HttpRequest, scopes: list[dict[str, Any]]) -> None:
        if request.POST.get("confirm", "").strip().lower() != CONFIRMATION:
            self.message_user(
                request, f"Nothing was purged. First type “{CONFIRMATION}” next to the action.", messages.ERROR
            )
            return
        nothing = {"host_id": None, "outcome_id": None, "since": None}
        purged = sum(purge_memory(**nothing | scope, by=read_actor(request), origin=ORIGIN) for scope in scopes)
        self.message_user(request, f"{purged} purged.", messages.SUCCESS)
