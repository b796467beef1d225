"""The cookies of one run: kept by the rules of RFC 6265, limited in size, and dropped when the run ends."""

from __future__ import annotations

from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import httpx

COOKIES_MAX = 50
# Name and value of one cookie, in characters: what RFC 6265 asks browsers to hold.
COOKIE_CHARS_MAX = 4_096


def open_jar() -> httpx.Cookies:
    """An empty jar for cookies from the site's answers, which go back only to the host that set them."""
    jar = CookieJar()
    jar.set_policy(_BoundedPolicy(jar))
    return httpx.Cookies(jar)


class _BoundedPolicy(DefaultCookiePolicy):
    """The standard library's policy, with a limit on the jar's size.

    As RFC 6265 demands, a cookie without a Domain is sent only to its own host; the library would add subdomains.
    """

    def __init__(self, jar: CookieJar) -> None:
        super().__init__(strict_domain=True, strict_ns_domain=DefaultCookiePolicy.DomainStrictNonDomain)
        self._jar = jar

    def set_ok(self, cookie: Cookie, request: Any) -> bool:
        is_small = len(cookie.name) + len(cookie.value or "") <= COOKIE_CHARS_MAX
        is_own = not _is_number(cookie.domain) or cookie.domain.strip(".") == urlsplit(request.get_full_url()).hostname
        return is_small and is_own and len(self._jar) < COOKIES_MAX and super().set_ok(cookie, request)


def _is_number(domain: str) -> bool:
    # The library takes 0.0.1 for the domain of 10.0.0.1: the end of an address is no domain.
    return domain.rpartition(".")[2].isdecimal()
