"""Rate limits, one count a caller."""

from __future__ import annotations

import time

from django.core.cache import cache
from django.http import HttpRequest
from ninja.throttling import BaseThrottle

from lealife.lib.digest import digest_bytes


class CallerThrottle(BaseThrottle):
    """At most `limit` requests in each period of `period_s` seconds, for one key or user.

    It holds nothing on itself, since one instance serves every thread. The count lives in the cache: with the
    default cache, which each process has to itself, the limit is per process.
    """

    def __init__(self, *, limit: int, period_s: int) -> None:
        self.limit = limit
        self.period_s = period_s

    def allow_request(self, request: HttpRequest) -> bool:
        """Counts the request; False past the limit."""
        name = getattr(request, "auth", None) or self.get_ident(request)
        # A digest: a caller may be named anything, a cache key may not.
        key = f"api-rate:{digest_bytes(str(name).encode())}:{int(time.time()) // self.period_s}"
        cache.add(key, 0, timeout=2 * self.period_s)
        try:
            return cache.incr(key) <= self.limit
        except ValueError:
            return True  # evicted between the two lines: a full cache must not refuse callers

    def wait(self) -> float:
        """Seconds until the next period."""
        return self.period_s - time.time() % self.period_s
