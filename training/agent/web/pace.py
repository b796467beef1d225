"""Politeness: when the next request to a site may be sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

# Statuses by which a server asks for a later request.
LATER_STATUSES = frozenset({429, 503})
# Statuses below 500 that say nothing about the address: too early, too slow, too many.
NOT_NOW = frozenset({408, 425, 429})
# The longest pause that one answer of a site can cause, in seconds.
RETRY_AFTER_MAX_S = 3_600.0


class Pace(Protocol):
    """Gives the turns of one site, so that requests are `delay_s` apart, also between processes."""

    def reserve_turn(self, *, delay_s: float, within_s: float) -> float | None:
        """Takes the next turn and returns the seconds until it; the one after is `delay_s` later.

        None when the turn is further away than `within_s`: then none is taken.
        """
        ...

    def postpone(self, *, seconds: float) -> None:
        """Gives no turn for this many seconds, because the site asked for a pause."""
        ...


class OwnPace:
    """The turns of a single browser; `clock` in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next_at = float("-inf")

    def reserve_turn(self, *, delay_s: float, within_s: float) -> float | None:
        now = self._clock()
        turn = max(self._next_at, now)
        if turn - now > within_s:
            return None
        self._next_at = turn + delay_s
        return turn - now

    def postpone(self, *, seconds: float) -> None:
        self._next_at = max(self._next_at, self._clock() + seconds)


def read_retry_after(value: str, *, now: datetime | None = None) -> float | None:
    """The seconds that a Retry-After header asks for, at most an hour; None when it says nothing usable."""
    value = value.strip()
    if value.isascii() and value.isdecimal():
        # Digits without end would be no number that a float holds.
        return min(float(value[:9]), RETRY_AFTER_MAX_S)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max((at - (now or datetime.now(UTC))).total_seconds(), 0.0), RETRY_AFTER_MAX_S)
