"""State changes by compare-and-swap: the update names the state that it expects."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from lealife.core.errors import Conflict


def move(rows: QuerySet[Any], *, refused: str, **changes: Any) -> int:
    """Updates `rows`, which are filtered by the expected state; returns how many changed.

    Raises Conflict with the sentence `refused` when none did, because someone else changed them first.
    """
    moved = rows.update(**changes)
    if not moved:
        raise Conflict(refused)
    return moved
