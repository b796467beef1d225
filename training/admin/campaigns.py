"""Admin of campaigns: made, cancelled and tried again, never rewritten."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from lealife.core.action_admin import NEVER, ORIGIN, ActionAdmin, offer_each, take_over
from lealife.core.actors import read_actor
from training.campaigns import cancel_campaign, create_campaign, read_progress, requeue_failed
from training.models import Campaign


class CampaignForm(forms.ModelForm):
    """One task definition, times N."""

    class Meta:
        model = Campaign
        fields = ("title", "host", "prompt", "check_spec", "pages_target", "size")


@admin.register(Campaign)
class CampaignAdmin(ActionAdmin):
    """Campaigns can be made, cancelled and queued again. Their task cannot change after they are queued."""

    form = CampaignForm
    list_display = (
        "title",
        "host",
        "size",
        "progress",
        "queued_from",
        "created_by",
        "created_at",
        "cancelled_at",
    )
    list_filter = ("host", "queued_from")
    list_select_related = ("host",)
    search_fields = ("=id", "title")
    list_per_page = 25
    autocomplete_fields = ("host",)
    actions = ("requeue_selected", "cancel_selected")
    adds = create_campaign.permission
    # A campaign changes only by its actions. It is cancelled, never deleted: its outcomes remain.
    changes = deletes = NEVER

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """No field while the campaign is being written; every field once it is queued."""
        made = ("progress", "definition", "queued_from", "created_by", "created_at", "cancelled_at")
        return () if obj is None else (*CampaignForm.Meta.fields, *made)

    def save_model(self, request: HttpRequest, obj: Campaign, form: forms.ModelForm, change: bool) -> None:
        """Queues the campaign's sources."""
        definition = {name: form.cleaned_data[name] for name in CampaignForm.Meta.fields}
        made = create_campaign(**definition, queued_from=ORIGIN, by=read_actor(request))
        take_over(obj, made)

    @admin.display(description="progress")
    def progress(self, campaign: Campaign) -> str:
        """How many sources are in each state."""
        now = read_progress(campaign.pk)
        return (
            f"{now.ended} of {now.size} run ({now.percent} %) — {now.queued} queued, {now.running} running, "
            f"{now.succeeded} succeeded, {now.failed} failed, {now.cancelled} cancelled, {now.disabled} disabled"
        )

    requeue_selected = offer_each(
        requeue_failed,
        row="campaign_id",
        description="Re-queue what failed, with a fresh retry budget",
        done="queued again",
    )
    cancel_selected = offer_each(
        cancel_campaign, row="campaign_id", description="Cancel what has not started", done="cancelled"
    )
