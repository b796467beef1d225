"""A client's address, and how many requests it made recently."""

from __future__ import annotations

import time
from ipaddress import IPv4Address, IPv6Address, ip_address

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest

from lealife.core.digest import digest_bytes

# A household or an attacker usually controls an IPv6 network of this size, so it counts as one client.
IPV6_PREFIX = 64


def read_address(request: HttpRequest) -> str | None:
    """The client's address (of IPv6 the first half); None when the server does not know it, as behind a Unix socket.

    `LEALIFE_PROXIES` is how many proxies to trust. Each appends the address that it saw to X-Forwarded-For; entries
    to the left of theirs come from the client and are ignored.
    """
    forwarded = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    proxies = settings.LEALIFE_PROXIES
    named = forwarded[-proxies] if 0 < proxies <= len(forwarded) else request.META.get("REMOTE_ADDR", "")
    address = _parse(named) or _parse(request.META.get("REMOTE_ADDR", ""))
    if isinstance(address, IPv6Address) and not address.is_loopback:
        address = IPv6Address(int(address) >> IPV6_PREFIX << IPV6_PREFIX)
    return str(address) if address else None


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    # Some proxies add the port: 203.0.113.9:4711 or [2001:db8::1]:4711.
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def count_event(name: str, *, period_s: int) -> int:
    """Counts one event of this name; returns the count in the current period of `period_s` seconds.

    The count lives in the cache. The default cache is per process, and so is the count.
    """
    # A digest, because a caller's name may contain characters that a cache key may not.
    key = f"events:{digest_bytes(name.encode())}:{int(time.time()) // period_s}"
    cache.add(key, 0, timeout=2 * period_s)
    try:
        return cache.incr(key)
    except ValueError:
        return 1  # evicted between the two lines: a full cache must not refuse anyone


def seconds_left(*, period_s: int) -> float:
    """Seconds until the next period."""
    return period_s - time.time() % period_s
