"""Lists of training sources, newest first, paged by id."""

from __future__ import annotations

from dataclasses import dataclass

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
    sources = TrainingSource.objects.select_related("host").defer("prompt", "check_spec").order_by("-id")
    if status:
        sources = sources.filter(status=status)
    if kind:
        sources = sources.filter(kind=kind)
    if before is not None:
        sources = sources.filter(pk__lt=before)
    found = list(sources[: PAGE_SIZE + 1])
    return SourceList(
        rows=tuple(view_source(source) for source in found[:PAGE_SIZE]),
        status=status,
        statuses=statuses,
        kind=kind,
        kinds=kinds,
        retry_budget=read_settings().retry_budget,
        next_before=found[PAGE_SIZE - 1].pk if len(found) > PAGE_SIZE else None,
        is_first=before is None,
    )
