"""Moving state by compare-and-swap: the update says what it expects to find."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from lealife.core.errors import Conflict


def move(rows: QuerySet[Any], *, refused: str, **changes: Any) -> int:
    """Updates `rows`, which name the expected state; returns how many moved.

    Raises Conflict with the sentence `refused` when none did: somebody else got there first.
    """
    moved = rows.update(**changes)
    if not moved:
        raise Conflict(refused)
    return moved
