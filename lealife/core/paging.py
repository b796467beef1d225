"""Pages of a long list, newest first, for the API and for web pages.

Not django-ninja's `CursorPagination`: clients page by the id in `before`, and 1.7.1 answers a garbled cursor with 500.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows of a list. `next_before` asks for those after them; None at the end."""

    rows: tuple[Row, ...]
    next_before: int | None


def read_page(rows: QuerySet[Any, Row], *, before: int | None, size: int) -> Page[Row]:
    """At most `size` rows with ids below `before`, newest first. One query; page 1,000 costs as much as page 1."""
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows.order_by("-pk")[: size + 1])
    shown = tuple(found[:size])
    return Page(rows=shown, next_before=shown[-1].pk if len(found) > size else None)
