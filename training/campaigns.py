"""Campaigns: one task definition, N independent training sources."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, Max, Min, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from lealife.core.actors import Actor, requires
from lealife.core.announce import announce
from lealife.core.errors import Conflict, InvalidInput, NotFound
from lealife.core.transition import move
from training.admission import check_admitted
from training.audit import record_audit
from training.models import Campaign, Host, TaskDefinition, TrainingSource
from training.models.sources import queue_rank
from training.sources import check_title
from training.tasks import check_pages_target, check_prompt, check_success_check, find_host, is_whole

SIZE_MAX = 10_000
Status = TrainingSource.Status
# The counts of a campaign's progress, by the state of the sources that they count.
_COUNTED = {
    "queued": Status.PENDING,
    "running": Status.CLAIMED,
    "succeeded": Status.DONE,
    "failed": Status.FAILED,
    "cancelled": Status.CANCELLED,
    "disabled": Status.DISABLED,
}


@dataclass(frozen=True, slots=True)
class CampaignProgress:
    """A campaign's sources by where they are, `percent` of them run to an end.

    Times are those of the first start and, when drained, of the last end. What is queued waits while `host_enabled`
    is false.
    """

    id: int
    title: str
    host: str
    host_enabled: bool
    definition_id: int | None
    size: int
    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    disabled: int
    started_at: datetime | None
    finished_at: datetime | None
    cancelled_at: datetime | None
    percent: int

    @property
    def ended(self) -> int:
        """How many runs have come to an end; what was cancelled never ran."""
        return self.succeeded + self.failed + self.disabled

    @property
    def may_requeue(self) -> bool:
        """Whether there is anything that `requeue_failed` would queue again."""
        return self.cancelled_at is None and self.failed + self.disabled > 0


@requires("training.manage_campaign")
def create_campaign(
    *,
    title: str,
    prompt: str,
    host: Host | str | None,
    check_spec: dict[str, Any] | None,
    pages_target: int | None,
    size: int,
    queued_from: str,
    by: Actor,
    definition: TaskDefinition | None = None,
) -> Campaign:
    """Queues `size` (1–10,000) sources of one task in one statement, each with its own marker.

    `definition` is the saved one that the task comes from. Raises InvalidInput or NotFound with the field, Conflict
    for a task that must not be trained on.
    """
    check_size(size)
    cleaned = check_prompt(prompt)
    found = find_host(host, prompt=cleaned)
    now = timezone.now()
    with transaction.atomic():
        check_admitted(host=found, prompt=cleaned)
        task: dict[str, Any] = {
            "title": check_title(title, prompt=cleaned),
            "prompt": cleaned,
            "host": found,
            "check_spec": check_success_check(check_spec, host=found),
            "pages_target": check_pages_target(pages_target),
            "definition": definition,
            "queued_from": queued_from,
        }
        campaign = Campaign.objects.create(**task, size=size, created_by=by.name)
        queued = {"campaign": campaign, "queued_by": by.name, "queue_rank": queue_rank(queued_at=now, priority=0)}
        TrainingSource.objects.bulk_create(
            TrainingSource(**task, **queued, scenario_marker=f"campaign-{campaign.pk}-{number:05}")
            for number in range(1, size + 1)
        )
        record_audit(
            actor=by,
            origin=queued_from,
            action="create campaign",
            subject=f"campaign {campaign.pk}",
            details={"size": size},
        )
        announce("sources")
    return campaign


@requires("training.manage_campaign")
def cancel_campaign(*, campaign_id: int, by: Actor, origin: str) -> int:
    """Cancels what has not started; returns how many sources that were."""
    now = timezone.now()
    with transaction.atomic():
        # Cancelled again, a campaign keeps the time of the first.
        if not Campaign.objects.filter(pk=campaign_id).update(cancelled_at=Coalesce("cancelled_at", now)):
            raise NotFound(f"There is no campaign {campaign_id}.")
        cancelled = TrainingSource.objects.filter(
            campaign_id=campaign_id, status__in=[Status.PENDING, Status.DISABLED]
        ).update(status=Status.CANCELLED, finished_at=now, status_reason=f"by {by}")
        record_audit(
            actor=by,
            origin=origin,
            action="cancel campaign",
            subject=f"campaign {campaign_id}",
            details={"cancelled": cancelled},
        )
        announce("sources")
    return cancelled


@requires("training.manage_campaign")
def requeue_failed(*, campaign_id: int, by: Actor, origin: str) -> int:
    """Queues a campaign's failed and disabled sources again, with a fresh retry budget; returns how many.

    Raises NotFound, and Conflict when the campaign is cancelled, nothing has failed, or its task is held out by now.
    """
    with transaction.atomic():
        # Under the campaign's lock: a cancel at the same moment comes before, and refuses this, or after.
        campaigns = Campaign.objects.select_for_update(no_key=True, of=("self",)).select_related("host")
        campaign = campaigns.filter(pk=campaign_id).first()
        if campaign is None:
            raise NotFound(f"There is no campaign {campaign_id}.")
        if campaign.cancelled_at is not None:
            raise Conflict(f"Campaign {campaign_id} is cancelled. Queue a new one.")
        check_admitted(host=campaign.host, prompt=campaign.prompt)
        requeued = move(
            TrainingSource.objects.filter(campaign_id=campaign_id, status__in=[Status.FAILED, Status.DISABLED]),
            refused=f"Campaign {campaign_id} has nothing to queue again: no source has failed.",
            status=Status.PENDING,
            failed_attempts=0,
            status_reason="",
            not_before=None,
            finished_at=None,
        )
        record_audit(
            actor=by,
            origin=origin,
            action="requeue failed",
            subject=f"campaign {campaign_id}",
            details={"requeued": requeued},
        )
        announce("sources")
    return requeued


def check_size(size: int) -> None:
    """How many runs a campaign has, 1–10,000. Raises InvalidInput."""
    if not is_whole(size, least=1, most=SIZE_MAX):
        raise InvalidInput(f"A campaign must have 1–{SIZE_MAX:,} runs, not {size!r}.", field="size")


def read_progress(campaign_id: int) -> CampaignProgress:
    """Where a campaign stands, from its sources. One query. Raises NotFound."""
    progress = _read_first(Campaign.objects.filter(pk=campaign_id))
    if progress is None:
        raise NotFound(f"There is no campaign {campaign_id}.")
    return progress


def read_newest_progress() -> CampaignProgress | None:
    """Where the newest campaign stands; None before the first. One query."""
    return _read_first(Campaign.objects.filter(pk=Campaign.objects.order_by("-id").values("id")[:1]))


def _read_first(campaigns: QuerySet[Campaign]) -> CampaignProgress | None:
    counts = {name: Count("sources", filter=Q(sources__status=status)) for name, status in _COUNTED.items()}
    times = {"started_at": Min("sources__claimed_at"), "finished_at": Max("sources__finished_at")}
    shown: Any = campaigns.values("id", "title", "size", "definition_id", "cancelled_at", "host__name", "host__enabled")
    row = shown.annotate(**counts, **times).first()
    if row is None:
        return None
    if row["queued"] + row["running"]:
        row["finished_at"] = None
    ended = row["succeeded"] + row["failed"] + row["disabled"]
    host = {"host": row.pop("host__name"), "host_enabled": row.pop("host__enabled")}
    return CampaignProgress(**row, **host, percent=100 * ended // row["size"])
