"""Moments as ages, such as `3 min ago`, with the exact time on hover. `when.js` updates them in the same words."""

from __future__ import annotations

from datetime import UTC, datetime

from django import template
from django.utils import timezone
from django.utils.safestring import SafeString

from lealife.templatetags.parts import UNKNOWN

register = template.Library()

MINUTE, HOUR, DAY = 60, 3600, 86_400
# Below each limit an age is shown in this unit.
UNITS = ((MINUTE, 1, "s"), (HOUR, MINUTE, "min"), (DAY, HOUR, "h"))


@register.filter
def when(at: datetime | None) -> SafeString:
    """A moment as its age, the exact time on hover; a dash without one."""
    return show_moment(at, "<time {}>{}</time>") if at else UNKNOWN


@register.filter
def when_due(at: datetime) -> SafeString:
    """A moment from which something may happen: `in 3 min`, and `now` once it has passed."""
    return show_moment(at, "<time data-due {}>{}</time>", past="now")


@register.filter
def when_taken(at: datetime) -> SafeString:
    """As `when`, for the time of the snapshot, which changes with every message."""
    return show_moment(at, "<time data-snapshot-time {}>{}</time>")


def show_moment(at: datetime, element: str, *, past: str = "") -> SafeString:
    """The element with the attributes that hold the exact time, and the age as its text.

    `past` replaces the age of a moment that has passed.
    """
    there = at.astimezone(UTC)
    exact = f'datetime="{there.isoformat()}" title="{there.day} {there:%b %Y, %H:%M:%S} UTC"'
    seconds = (timezone.now() - at).total_seconds()
    # Only digits and names of months, so nothing needs escaping.
    return SafeString(element.format(exact, past if past and seconds >= 0 else say_age(seconds)))


def say_age(seconds: float) -> str:
    """How long ago, as `3 min ago`, in the largest whole unit; a future moment is `in 3 min`."""
    whole = abs(round(seconds))
    size, unit = next(((size, unit) for limit, size, unit in UNITS if whole < limit), (DAY, "d"))
    amount = f"{whole // size} {unit}"
    return f"in {amount}" if seconds < 0 and whole else f"{amount} ago"
