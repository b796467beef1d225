"""Training: start and stop, sources, campaigns, settings."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from ninja import Query, Router, Status

from lealife.api.schemas import (
    Before,
    CampaignIn,
    CampaignOut,
    CancelledOut,
    Limit,
    RequeuedOut,
    RowId,
    SettingsIn,
    SettingsOut,
    SourceIn,
    SourceListOut,
    SourceOut,
    declare_responses,
    fill_schema,
)
from lealife.api.status_schemas import StatusOut
from lealife.auth import ActorRequest, allow
from lealife.core.paging import read_page
from lealife.dashboard.live.snapshot import fingerprint_panel
from lealife.dashboard.training.panels import TrainingPage, build_training_page
from training.campaigns import cancel_campaign, create_campaign, read_progress, requeue_failed
from training.coordinator import LoopState, read_loop, start_training, stop_training
from training.models import RuntimeSettings, TrainingCycle, TrainingSource
from training.runtime_settings import FIELDS, apply_settings, read_settings
from training.sources import queue_source

ORIGIN = "api"
router = Router(tags=["training"])


@router.post("/start", response=declare_responses(200, LoopState), auth=allow(start_training))
def start(request: ActorRequest) -> LoopState:
    """Allows training. New runs start at the next tick."""
    start_training(by=request.auth, origin=ORIGIN)
    return show_loop()


@router.post("/stop", response=declare_responses(200, LoopState), auth=allow(stop_training))
def stop(request: ActorRequest) -> LoopState:
    """Stops training: no new runs start. In-flight runs continue to terminal state."""
    stop_training(by=request.auth, origin=ORIGIN)
    return show_loop()


def show_loop() -> LoopState:
    """The loop's state. `last_launch_at` is the newest pick, also when a worker that ended a run made it."""
    newest = TrainingCycle.objects.order_by("-id").values_list("opened_at", flat=True).first()
    return replace(read_loop(now=timezone.now()), last_launch_at=newest)


@router.get("/status", response=declare_responses(200, StatusOut))
def read_status(request: HttpRequest, response: HttpResponse) -> TrainingPage:
    """Where training and promotion stand: what the training page shows, without its words."""
    page = build_training_page(now=timezone.now())
    # Weak: two answers that differ only in their time count as the same.
    response["ETag"] = f'W/"{fingerprint_panel(page)}"'
    return page


@router.get("/sources", response=declare_responses(200, SourceListOut))
def list_pending_sources(
    request: HttpRequest,
    limit: Limit = 20,
    before: Before = None,
    kind: Annotated[TrainingSource.Kind | None, Query()] = None,
) -> SourceListOut:
    """Pending sources, newest first."""
    rows = TrainingSource.objects.pending().select_related("host")
    if kind is not None:
        rows = rows.filter(kind=kind)
    page = read_page(rows, before=before, size=limit)
    return SourceListOut(sources=[describe_source(source) for source in page.rows], next_before=page.next_before)


@router.post("/sources", response=declare_responses(201, SourceOut, 404, 409), auth=allow(queue_source))
def create_source(request: ActorRequest, body: SourceIn) -> Status:
    """Queues one prompt for training; 409 when it is held out for evaluations."""
    source = queue_source(**body.read_task(), queued_from=ORIGIN, by=request.auth)
    source.refresh_from_db()
    return Status(201, describe_source(source))


@router.post("/campaigns", response=declare_responses(201, CampaignOut, 404, 409), auth=allow(create_campaign))
def create(request: ActorRequest, body: CampaignIn) -> Status:
    """Queues one task definition `size` times; each run is independent. 409 when it is held out for evaluations."""
    campaign = create_campaign(**body.read_task(), queued_from=ORIGIN, by=request.auth)
    return Status(201, describe_campaign(campaign.pk))


@router.get("/campaigns/{campaign_id}", response=declare_responses(200, CampaignOut, 404), url_name="campaign")
def read_campaign(request: HttpRequest, campaign_id: RowId) -> CampaignOut:
    """A campaign's progress."""
    return describe_campaign(campaign_id)


@router.post(
    "/campaigns/{campaign_id}/actions/cancel/",
    response=declare_responses(200, CancelledOut, 404, 409),
    auth=allow(cancel_campaign),
)
def cancel(request: ActorRequest, campaign_id: RowId) -> CancelledOut:
    """Cancels the campaign's sources that have not started."""
    return CancelledOut(cancelled=cancel_campaign(campaign_id=campaign_id, by=request.auth, origin=ORIGIN))


@router.post(
    "/campaigns/{campaign_id}/actions/requeue-failed/",
    response=declare_responses(200, RequeuedOut, 404, 409),
    auth=allow(requeue_failed),
)
def requeue(request: ActorRequest, campaign_id: RowId) -> RequeuedOut:
    """Queues failed sources again, with a new retry budget; 409 when the campaign is cancelled or none has failed."""
    return RequeuedOut(requeued=requeue_failed(campaign_id=campaign_id, by=request.auth, origin=ORIGIN))


@router.get("/settings", response=declare_responses(200, SettingsOut))
def show_settings(request: HttpRequest) -> SettingsOut:
    """The settings, which every process reads at its next tick, and their version."""
    return describe_settings(read_settings())


@router.patch("/settings", response=declare_responses(200, SettingsOut, 409), auth=allow(apply_settings))
def change_settings(request: ActorRequest, body: SettingsIn) -> SettingsOut:
    """Applies a draft made against `version`; 409 with the difference when another draft was applied first.

    Training-only settings need the scope `operate`; settings for all tasks need `admin`.
    """
    row = apply_settings(changes=body.changes, version=body.version, by=request.auth, origin=ORIGIN)
    return describe_settings(row)


def describe_source(source: TrainingSource) -> SourceOut:
    """A source as JSON."""
    return fill_schema(SourceOut, source, host=source.host.name)


def describe_campaign(campaign_id: int) -> CampaignOut:
    """A campaign's progress as JSON. Raises NotFound."""
    href = reverse("api:campaign", kwargs={"campaign_id": campaign_id})
    return CampaignOut(**asdict(read_progress(campaign_id)), href=href)


def describe_settings(row: RuntimeSettings) -> SettingsOut:
    """The settings row as JSON."""
    return SettingsOut(
        version=row.version,
        updated_at=row.updated_at,
        updated_by=row.updated_by,
        values={name: getattr(row, name) for name in FIELDS},
    )
