"""Panel 8, Pending Training Sources: the heads of both queues."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lealife.dashboard.readings import Readings
from training.models import TrainingSource

SHOWN = 10


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One waiting source."""

    id: int
    title: str
    host: str
    queued_from: str
    queued_by: str
    priority: int
    failed_attempts: int
    not_before: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PendingPanel:
    """Pending Training Sources, 10 of each kind at most."""

    queue: tuple[SourceRow, ...]
    queue_total: int
    curriculum: tuple[SourceRow, ...]
    curriculum_total: int
    retry_budget: int
    shown_max: int = SHOWN


def build_pending_panel(
    readings: Readings, *, queue: tuple[SourceRow, ...], curriculum: tuple[SourceRow, ...]
) -> PendingPanel:
    """The panel from one set of readings and the heads of both queues; no query of its own."""
    return PendingPanel(
        queue=queue,
        queue_total=readings.waiting.queue,
        curriculum=curriculum,
        curriculum_total=readings.waiting.curriculum,
        retry_budget=readings.settings.retry_budget,
    )


def read_pending(kind: str) -> tuple[SourceRow, ...]:
    """The first ten pending sources of one kind, in queue order. One query."""
    rows = TrainingSource.objects.pending().filter(kind=kind).select_related("host").order_by("queue_rank", "id")
    return tuple(
        SourceRow(
            id=source.pk,
            title=source.title,
            host=source.host.name,
            queued_from=source.queued_from,
            queued_by=source.queued_by,
            priority=source.priority,
            failed_attempts=source.failed_attempts,
            not_before=source.not_before,
            created_at=source.created_at,
        )
        for source in rows[:SHOWN]
    )
