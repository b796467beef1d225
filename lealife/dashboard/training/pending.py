"""Panel 8, Pending Training Sources: the heads of both queues."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lealife.core.actors import Action
from lealife.dashboard.readings import PENDING_SHOWN, Readings
from training.models import TrainingSource
from training.sources import cancel_source, disable_source, enable_source, requeue_source

Status = TrainingSource.Status
SOURCE_ACTIONS: dict[str, Action[..., None]] = {
    "disable": disable_source,
    "enable": enable_source,
    "requeue": requeue_source,
    "cancel": cancel_source,
}
# Which buttons a source gets; `training.sources` judges them again when they are pressed.
ACTIONS: dict[str, tuple[str, ...]] = {
    Status.PENDING: ("disable", "cancel"),
    Status.DISABLED: ("enable", "cancel"),
    Status.FAILED: ("requeue", "disable"),
    Status.DONE: ("requeue",),
    Status.CANCELLED: ("requeue",),
}


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One source; `actions` are what may be done with it as it is."""

    id: int
    kind: str
    status: str
    status_reason: str
    title: str
    host: str
    queued_from: str
    queued_by: str
    priority: int
    failed_attempts: int
    not_before: datetime | None
    created_at: datetime
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PendingPanel:
    """Pending Training Sources, 10 of each kind at most."""

    queue: tuple[SourceRow, ...]
    queue_total: int
    curriculum: tuple[SourceRow, ...]
    curriculum_total: int
    retry_budget: int
    shown_max: int = PENDING_SHOWN


def build_pending_panel(readings: Readings) -> PendingPanel:
    """The panel from one set of readings; no query of its own."""
    waiting = readings.vitals.facts.waiting
    rows = tuple(view_source(source) for source in readings.pending)
    return PendingPanel(
        queue=tuple(row for row in rows if row.kind == TrainingSource.Kind.QUEUE)[:PENDING_SHOWN],
        queue_total=waiting.queue,
        curriculum=tuple(row for row in rows if row.kind == TrainingSource.Kind.CURRICULUM)[:PENDING_SHOWN],
        curriculum_total=waiting.curriculum,
        retry_budget=readings.vitals.settings.retry_budget,
    )


def view_source(source: TrainingSource) -> SourceRow:
    """A source as one row of a list; needs `host` loaded."""
    return SourceRow(
        id=source.pk,
        kind=source.kind,
        status=source.status,
        status_reason=source.status_reason,
        title=source.title,
        host=source.host.name,
        queued_from=source.queued_from,
        queued_by=source.queued_by,
        priority=source.priority,
        failed_attempts=source.failed_attempts,
        not_before=source.not_before,
        created_at=source.created_at,
        actions=ACTIONS.get(source.status, ()),
    )
