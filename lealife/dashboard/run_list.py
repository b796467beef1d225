"""Lists of runs, newest first, paged by id so that page 1,000 costs as much as page 1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache

from lealife.lib.kept_queries import KeptQuery
from training.models import Run

PAGE_SIZE = 25


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run; duration in seconds, None before its end."""

    id: int
    lane: str
    status: str
    prompt: str
    host: str
    requested_by: str
    controller_tag: str
    error_code: str
    pages: int
    controller_calls: int
    seconds: float | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RunList:
    """A page of runs. `next_before` continues it; None at the end."""

    rows: tuple[RunRow, ...]
    lane: str
    lanes: tuple[str, ...]
    next_before: int | None
    is_first: bool


def read_runs(*, lane: str, before: int | None) -> RunList:
    """25 runs of `lane` (empty: all) with ids below `before`. One query; an unknown lane lists all."""
    lanes = tuple(str(value) for value in Run.Lane.values)
    lane = lane if lane in lanes else ""
    runs = Run.objects.filter(lane=lane) if lane else Run.objects.all()
    if before is not None:
        runs = runs.filter(pk__lt=before)
    found = list(runs.select_related("host").order_by("-id")[: PAGE_SIZE + 1])
    shown = found[:PAGE_SIZE]
    return RunList(
        rows=tuple(view_row(run) for run in shown),
        lane=lane,
        lanes=lanes,
        next_before=shown[-1].pk if len(found) > PAGE_SIZE else None,
        is_first=before is None,
    )


def read_recent_runs(*, limit: int) -> tuple[RunRow, ...]:
    """The newest runs of every lane. One query."""
    return tuple(view_row(run) for run in _keep_newest(limit).read())


@cache
def _keep_newest(limit: int) -> KeptQuery[Run]:
    # Not the wide columns, of which a list shows nothing.
    runs = Run.objects.select_related("host").defer("check_spec", "memories", "answer", "quotes", "error")
    return KeptQuery(lambda: runs.order_by("-id")[:limit])


def view_row(run: Run) -> RunRow:
    """A run as one row of a list, its prompt shortened to 160 characters; needs `host` loaded."""
    return RunRow(
        id=run.pk,
        lane=run.lane,
        status=run.status,
        prompt=run.prompt[:160],
        host=run.host.name,
        requested_by=run.requested_by,
        controller_tag=run.controller_tag,
        error_code=run.error_code,
        pages=run.pages,
        controller_calls=run.controller_calls,
        seconds=run.duration_ms / 1000 if run.finished_at else None,
        created_at=run.created_at,
    )
