"""Rate limits, with one count per caller."""

from __future__ import annotations

from django.http import HttpRequest
from ninja.throttling import BaseThrottle

from lealife.core.clients import count_event, read_address, seconds_left


class CallerThrottle(BaseThrottle):
    """At most `limit` requests in each period of `period_s` seconds, for one key or user.

    It keeps no state in the instance, because one instance serves every thread.
    """

    def __init__(self, *, limit: int, period_s: int) -> None:
        self.limit = limit
        self.period_s = period_s

    def allow_request(self, request: HttpRequest) -> bool:
        """Counts the request; False past the limit."""
        name = getattr(request, "auth", None) or read_address(request)
        return count_event(f"request {name}", period_s=self.period_s) <= self.limit

    def wait(self) -> float:
        """Seconds until the next period."""
        return seconds_left(period_s=self.period_s)
