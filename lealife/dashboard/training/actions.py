"""The page's actions. Each calls the same function as API, admin and commands, and redirects to the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from lealife.core.actors import Action, Actor, read_actor
from lealife.core.errors import InvalidInput, Refused
from lealife.dashboard.access import find_action, require_action, require_post, require_staff
from lealife.dashboard.forms import PresetForm, QueueForm
from lealife.dashboard.training.draft import drop_draft, keep_draft, read_draft, rebase_draft
from lealife.dashboard.training.sources import SOURCE_ACTIONS
from lealife.dashboard.training.views import render_draft, render_training
from training.campaigns import cancel_campaign, create_campaign, requeue_failed
from training.coordinator import start_training, stop_training
from training.definitions import Queued, queue_definition
from training.runtime_settings import apply_settings
from training.sources import queue_source

# The origin of a change, as in the audit log and `queued_from`.
ORIGIN, QUEUED_FROM = "page", "training_ui"
SOURCE_DONE = {"disable": "disabled", "enable": "enabled", "requeue": "queued again", "cancel": "cancelled"}
CAMPAIGN_ACTIONS: dict[str, tuple[Action[..., int], str]] = {
    "cancel": (cancel_campaign, "waiting sources cancelled"),
    "requeue-failed": (requeue_failed, "failed sources queued again"),
}

DRAFT_ACTIONS: dict[str, Callable[..., None]] = {"rebase": rebase_draft, "discard": drop_draft}


@require_post
@require_staff
def start(request: HttpRequest) -> HttpResponse:
    """Allows training."""
    start_training(by=read_actor(request), origin=ORIGIN)
    messages.success(request, "Training is allowed. New runs start at the next tick.")
    return redirect("training")


@require_post
@require_staff
def stop(request: HttpRequest) -> HttpResponse:
    """Ends new picks."""
    stop_training(by=read_actor(request), origin=ORIGIN)
    messages.success(request, "Training is stopped. No new runs start; in-flight runs continue to terminal state.")
    return redirect("training")


@require_post
@require_staff
def queue(request: HttpRequest) -> HttpResponse:
    """Queues one run of a task definition, or a campaign of it."""
    many = "campaign" in request.POST
    by = require_action(request, create_campaign if many else queue_source)
    form = QueueForm(request.POST)
    if form.is_valid():
        try:
            messages.success(request, queue_form(form, by=by, many=many))
        except Refused as refused:
            form.add_refusal(refused)
        else:
            return redirect("training")
    return render_training(request, form=form, status=422)


def queue_form(form: QueueForm, *, by: Actor, many: bool) -> str:
    """Queues what a valid form defines; returns the sentence that says so. Raises Refused."""
    task = {"title": form.cleaned_data["title"], "queued_from": QUEUED_FROM, "by": by, **form.read_task()}
    if not many:
        source = queue_source(**task)
        return Queued(title=source.title, size=1, source_id=source.pk).sentence
    size = form.cleaned_data["size"]
    if size is None:
        raise InvalidInput("Enter how many runs the campaign has.", field="size")
    campaign = create_campaign(**task, size=size)
    return Queued(title=campaign.title, size=campaign.size, campaign_id=campaign.pk).sentence


@require_post
@require_staff
def queue_preset(request: HttpRequest) -> HttpResponse:
    """Queues a saved task definition, once or as a campaign."""
    by = require_action(request, queue_definition)
    form = PresetForm(request.POST)
    if form.is_valid():
        chosen, size = form.cleaned_data["definition"], form.cleaned_data["size"]
        if size > 1:
            require_action(request, create_campaign)
        try:
            queued = queue_definition(definition_id=chosen.pk, size=size, queued_from=QUEUED_FROM, by=by)
        except Refused as refused:
            form.add_refusal(refused)
        else:
            messages.success(request, queued.sentence)
            return redirect("training")
    return render_training(request, form=QueueForm(), presets=form, status=422)


@require_post
@require_staff
def change_source(request: HttpRequest, source_id: int, action: str) -> HttpResponse:
    """Disables, enables, requeues or cancels one source."""
    change = find_action(SOURCE_ACTIONS, action)
    by = require_action(request, change)
    try:
        change(source_id=source_id, by=by, origin=ORIGIN)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"Source {source_id} is {SOURCE_DONE[action]}.")
    return redirect(find_way_back(request.POST))


@require_post
@require_staff
def change_campaign(request: HttpRequest, campaign_id: int, action: str) -> HttpResponse:
    """Cancels a campaign's sources that have not started, or queues its failed sources again."""
    change, done = find_action(CAMPAIGN_ACTIONS, action)
    by = require_action(request, change)
    try:
        count = change(campaign_id=campaign_id, by=by, origin=ORIGIN)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"Campaign {campaign_id}: {count:,} {done}.")
    return redirect("training")


@require_post
@require_staff
def preview_settings(request: HttpRequest) -> HttpResponse:
    """Stores the selectors as this user's draft; a script gets only the pending changes."""
    require_action(request, apply_settings)
    keep_draft(request.session, request.POST)
    if request.headers.get("X-Fragment") == "pending-changes":
        return render_draft(request)
    return redirect(find_selectors())


@require_post
@require_staff
def apply_draft(request: HttpRequest) -> HttpResponse:
    """Applies the selectors to the version that they were made from; after a refusal they stay as a draft."""
    by = require_action(request, apply_settings)
    keep_draft(request.session, request.POST)
    version, changes = read_draft(request.session)
    if not changes:
        messages.info(request, "No pending runtime setting changes.")
        return redirect(find_selectors())
    try:
        row = apply_settings(changes=changes, version=version, by=by, origin=ORIGIN, typed=True)
    except Refused as refused:
        messages.error(request, f"Nothing was applied. {refused}")
    else:
        drop_draft(request.session)
        messages.success(request, f"Settings are now version {row.version}. Every process uses them at its next tick.")
    return redirect(find_selectors())


@require_post
@require_staff
def move_draft(request: HttpRequest, action: str) -> HttpResponse:
    """`rebase`: moves the draft to the live version; `discard`: deletes it."""
    change = find_action(DRAFT_ACTIONS, action)
    require_action(request, apply_settings)
    change(request.session)
    return redirect(find_selectors())


def find_way_back(given: Mapping[str, str]) -> str:
    """The page with the button, if the form names one of this site; else the training page."""
    address = given.get("next", "")
    return address if url_has_allowed_host_and_scheme(address, allowed_hosts=None) else reverse("training")


def find_selectors() -> str:
    """The address of the selectors."""
    return f"{reverse('training')}#selectors"
