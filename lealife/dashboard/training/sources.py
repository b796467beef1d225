"""Lists of training sources, newest first, paged by id."""

from __future__ import annotations

from dataclasses import dataclass

from lealife.core.paging import read_page
from lealife.dashboard.training.pending import SourceRow, view_source
from training.models import TrainingSource
from training.runtime_settings import read_settings

PAGE_SIZE = 25


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
