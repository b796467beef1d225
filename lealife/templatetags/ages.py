"""Moments as ages: what a page says beside the exact time. `when.js` keeps them current in the same words."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils import timezone

register = template.Library()

MINUTE, HOUR, DAY = 60, 3600, 86_400
# Below each limit an age is counted in these units.
UNITS = ((MINUTE, 1, "s"), (HOUR, MINUTE, "min"), (DAY, HOUR, "h"))


@register.filter
def age(at: datetime) -> str:
    """How long ago `at` was, as of now: `3 min ago`; a moment to come is `in 3 min`."""
    return say_age((timezone.now() - at).total_seconds())


def say_age(seconds: float) -> str:
    """An age in its largest whole unit."""
    whole = abs(round(seconds))
    size, unit = next(((size, unit) for limit, size, unit in UNITS if whole < limit), (DAY, "d"))
    amount = f"{whole // size} {unit}"
    return f"in {amount}" if seconds < 0 and whole else f"{amount} ago"
