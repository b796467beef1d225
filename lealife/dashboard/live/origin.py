"""The WebSocket's Origin check: only pages of this site may open a socket, as in Django's CSRF check."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.utils.http import is_same_domain

Application = Callable[[Mapping[str, Any], Any, Any], Awaitable[Any]]
DEFAULT_PORTS = {"http": 80, "https": 443}


class SameOrigin:
    """Accepts a socket when its Origin is the address at which it was opened, or a trusted one; refuses all others."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> Any:
        """Answers 403 to a page of another scheme, name or port, and to a client that names no origin."""
        allowed = is_allowed_origin(scope)
        return await (self.application if allowed else WebsocketDenier())(scope, receive, send)


def is_allowed_origin(scope: Mapping[str, Any]) -> bool:
    """Whether the Origin's scheme, name and port are those of the request, or are in CSRF_TRUSTED_ORIGINS."""
    headers = {name.lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
    origin, host = headers.get(b"origin", ""), headers.get(b"host", "")
    if not validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS):
        return False
    asked = _split(origin)
    if asked is None:
        return False
    if asked == _split(f"{_read_scheme(scope, headers)}://{host}"):
        return True
    return any(_is_trusted(asked, pattern) for pattern in settings.CSRF_TRUSTED_ORIGINS)


def _read_scheme(scope: Mapping[str, Any], headers: Mapping[bytes, str]) -> str:
    """`https` for a socket over TLS, either here or at a trusted proxy."""
    if settings.SECURE_PROXY_SSL_HEADER:
        name, secure = settings.SECURE_PROXY_SSL_HEADER
        told = headers.get(name.removeprefix("HTTP_").replace("_", "-").lower().encode(), "")
        if told.split(",")[0].strip() == secure:
            return "https"
    return "https" if scope.get("scheme") == "wss" else "http"


def _split(address: str) -> tuple[str, str, int] | None:
    """Scheme, name and port; None for what names no website."""
    try:
        parts = urlsplit(address)
        port = parts.port or DEFAULT_PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None


def _is_trusted(asked: tuple[str, str, int], pattern: str) -> bool:
    """`https://name` or, with every name below it, `https://*.name`."""
    scheme, separator, name = pattern.partition("://")
    trusted = _split(f"{scheme}{separator}{name.removeprefix('*')}")
    if trusted is None or (asked[0], asked[2]) != (trusted[0], trusted[2]):
        return False
    return is_same_domain(asked[1], trusted[1])
