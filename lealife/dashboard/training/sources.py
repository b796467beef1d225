"""Panel 8, Pending Training Sources: the heads of both queues; and the list of all sources, paged by id."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lealife.core.actors import Action
from lealife.core.paging import read_page
from lealife.dashboard.readings import PENDING_SHOWN, Readings
from lealife.dashboard.rows import fill_row
from training.models import TrainingSource
from training.runtime_settings import read_settings
from training.sources import cancel_source, disable_source, enable_source, requeue_source

PAGE_SIZE = 25
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
    """One source; `actions` are what may be done with it as it is, each with the permission that it needs."""

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
    actions: tuple[tuple[str, str], ...]


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
    actions = tuple((name, SOURCE_ACTIONS[name].permission) for name in ACTIONS.get(source.status, ()))
    return fill_row(SourceRow, source, host=source.host.name, actions=actions)


@dataclass(frozen=True, slots=True)
class SourceList:
    """A page of sources. `next_before` continues it; None at the end."""

    rows: tuple[SourceRow, ...]
    status: str
    statuses: tuple[str, ...]
    kind: str
    kinds: tuple[str, ...]
    retry_budget: int
    next_before: int | None
    is_first: bool


def read_sources(*, status: str, kind: str, before: int | None) -> SourceList:
    """25 sources of one status and kind (empty or unknown: all) with ids below `before`. Two queries."""
    statuses, kinds = tuple(map(str, TrainingSource.Status.values)), tuple(map(str, TrainingSource.Kind.values))
    status, kind = status if status in statuses else "", kind if kind in kinds else ""
    sources = TrainingSource.objects.select_related("host").defer("prompt", "check_spec")
    if status:
        sources = sources.filter(status=status)
    if kind:
        sources = sources.filter(kind=kind)
    page = read_page(sources, before=before, size=PAGE_SIZE)
    return SourceList(
        rows=tuple(view_source(source) for source in page.rows),
        status=status,
        statuses=statuses,
        kind=kind,
        kinds=kinds,
        retry_budget=read_settings().retry_budget,
        next_before=page.next_before,
        is_first=before is None,
    )
