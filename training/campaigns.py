"""Campaigns: one task definition, N independent training sources."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, Max, Min, Q, QuerySet
from django.utils import timezone

from lealife.lib.announce import announce
from lealife.lib.errors import InvalidInput, NotFound
from training.audit import record_audit
from training.models import Campaign, Host, TrainingSource
from training.models.sources import queue_rank
from training.sources import check_title
from training.tasks import check_pages_target, check_prompt, check_success_check, find_host

SIZE_MAX = 10_000
Status = TrainingSource.Status


@dataclass(frozen=True, slots=True)
class CampaignProgress:
    """A campaign's sources by where they are; times of the first start and, when drained, of the last end."""

    id: int
    title: str
    size: int
    queued: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    disabled: int
    started_at: datetime | None
    finished_at: datetime | None
    percent: int


def create_campaign(
    *,
    title: str,
    prompt: str,
    host: Host | str | None,
    check_spec: dict[str, Any] | None,
    pages_target: int | None,
    size: int,
    queued_from: str,
    by: str,
) -> Campaign:
    """Queues `size` (1–10,000) sources of one definition in one statement batch, each with its own marker."""
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= SIZE_MAX:
        raise InvalidInput(f"A campaign has 1–{SIZE_MAX:,} runs, not {size!r}.", field="size")
    cleaned = check_prompt(prompt)
    now = timezone.now()
    with transaction.atomic():
        campaign = Campaign.objects.create(
            title=check_title(title, prompt=cleaned),
            prompt=cleaned,
            host=find_host(host, prompt=cleaned),
            check_spec=check_success_check(check_spec),
            pages_target=check_pages_target(pages_target),
            size=size,
            queued_from=queued_from,
            created_by=by,
        )
        TrainingSource.objects.bulk_create(
            (
                TrainingSource(
                    kind=TrainingSource.Kind.QUEUE,
                    title=campaign.title,
                    prompt=campaign.prompt,
                    host=campaign.host,
                    check_spec=campaign.check_spec,
                    pages_target=campaign.pages_target,
                    queued_from=queued_from,
                    queued_by=by,
                    queue_rank=queue_rank(queued_at=now, priority=0),
                    campaign=campaign,
                    scenario_marker=f"campaign-{campaign.pk}-{number:05d}",
                )
                for number in range(1, size + 1)
            ),
            batch_size=2_000,
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


def cancel_campaign(*, campaign_id: int, by: str, origin: str) -> int:
    """Cancels what has not started; returns how many sources that were."""
    now = timezone.now()
    with transaction.atomic():
        if not Campaign.objects.filter(pk=campaign_id).update(cancelled_at=now):
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
    by_status = {f"n_{status}": Count("sources", filter=Q(sources__status=status)) for status in Status.values}
    times = {"started": Min("sources__claimed_at"), "finished": Max("sources__finished_at")}
    campaign: Any = campaigns.annotate(**by_status, **times).first()
    if campaign is None:
        return None
    waiting = campaign.n_pending + campaign.n_claimed
    return CampaignProgress(
        id=campaign.pk,
        title=campaign.title,
        size=campaign.size,
        queued=campaign.n_pending,
        running=campaign.n_claimed,
        succeeded=campaign.n_done,
        failed=campaign.n_failed,
        cancelled=campaign.n_cancelled,
        disabled=campaign.n_disabled,
        started_at=campaign.started,
        finished_at=campaign.finished if not waiting else None,
        percent=100 * (campaign.size - waiting) // campaign.size,
    )
