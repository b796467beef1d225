"""The page's verbs: each posts to the function that API, admin and commands call, and returns to the page."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from lealife.dashboard.access import require_staff
from lealife.dashboard.forms import QueueForm
from lealife.dashboard.pages import render_training
from lealife.lib.errors import Refused
from training.campaigns import cancel_campaign, create_campaign
from training.coordinator import start_training, stop_training
from training.sources import cancel_source, disable_source, enable_source, queue_source, requeue_source

# Where a change came from, as the audit log and `queued_from` name it.
ORIGIN, QUEUED_FROM = "page", "training_ui"
SOURCE_VERBS: dict[str, Callable[..., None]] = {
    "disable": disable_source,
    "enable": enable_source,
    "requeue": requeue_source,
    "cancel": cancel_source,
}


@require_POST
@require_staff
def start(request: HttpRequest) -> HttpResponse:
    """Allows training."""
    start_training(by=request.user.get_username(), origin=ORIGIN)
    messages.success(request, "Training is allowed: picks begin at the next tick.")
    return redirect("training")


@require_POST
@require_staff
def stop(request: HttpRequest) -> HttpResponse:
    """Ends new picks."""
    stop_training(by=request.user.get_username(), origin=ORIGIN)
    messages.success(request, "Training is stopped: no new picks. In-flight runs continue to terminal state.")
    return redirect("training")


@require_POST
@require_staff
def queue(request: HttpRequest) -> HttpResponse:
    """Queues one run of a task definition, or a campaign of it."""
    form = QueueForm(request.POST)
    if form.is_valid():
        try:
            messages.success(request, queue_form(form, by=request.user.get_username(), many="campaign" in request.POST))
        except Refused as refused:
            form.add_refusal(refused)
        else:
            return redirect("training")
    return render_training(request, form=form, status=422)


def queue_form(form: QueueForm, *, by: str, many: bool) -> str:
    """Queues what a valid form defines; returns the sentence that says so. Raises Refused."""
    task = {"title": form.cleaned_data["title"], "queued_from": QUEUED_FROM, "by": by, **form.read_task()}
    if not many:
        source = queue_source(**task)
        return f"Queued “{source.title}” as source {source.pk}."
    campaign = create_campaign(**task, size=form.cleaned_data["size"] or 1)
    return f"Queued campaign {campaign.pk}: “{campaign.title}”, {campaign.size:,} runs."


@require_POST
@require_staff
def change_source(request: HttpRequest, source_id: int, verb: str) -> HttpResponse:
    """Disables, enables, requeues or cancels one source."""
    change = SOURCE_VERBS.get(verb)
    if change is None:
        raise Http404(f"There is no verb {verb}.")
    try:
        change(source_id=source_id, by=request.user.get_username(), origin=ORIGIN)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"Source {source_id}: {verb} done.")
    return redirect("training")


@require_POST
@require_staff
def cancel_sources(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """Cancels what a campaign has not started."""
    try:
        cancelled = cancel_campaign(campaign_id=campaign_id, by=request.user.get_username(), origin=ORIGIN)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"Campaign {campaign_id}: {cancelled} waiting sources cancelled.")
    return redirect("training")
