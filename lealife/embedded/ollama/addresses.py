"""Addresses and origins, as Ollama's router has them: redirects, allowed methods, and which web pages may ask."""

from __future__ import annotations

import posixpath
from collections.abc import Collection
from email.message import Message
from http import HTTPStatus

BLOBS = "/api/blobs/"
# What a page of another origin on this machine may send (gin's cors settings in Ollama).
_HEADERS = (
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,X-Stainless-Async,"
    "X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,X-Stainless-Os,"
    "X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,"
    "X-Stainless-Runtime-Version,X-Stainless-Timeout"
)
_APP_SCHEMES = ("app", "file", "tauri", "vscode-webview", "vscode-file")
_METHODS = "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"


def find_redirect(method: str, path: str, *, known: Collection[str]) -> tuple[HTTPStatus, str] | None:
    """Where a path with doubled slashes, dots or a slash at its end is redirected; None when it needs no redirect."""
    clean = posixpath.normpath(path).replace("//", "/")
    clean += "/" if path.endswith("/") and clean != "/" else ""
    if clean != path:
        return HTTPStatus.TEMPORARY_REDIRECT, clean
    other = path.rstrip("/") if path.endswith("/") else f"{path}/"
    if path in known or other not in known:
        return None
    return (HTTPStatus.MOVED_PERMANENTLY if method == "GET" else HTTPStatus.TEMPORARY_REDIRECT), other


def list_methods(path: str, *, routes: Collection[tuple[str, str]]) -> list[str]:
    """The methods of an address, as `Allow` lists them; empty for an unknown address."""
    if path.startswith(BLOBS):
        return ["HEAD", "POST"]
    methods = [method for method, known in routes if known == path]
    return ["HEAD", "GET"] if methods == ["GET"] else methods


def is_own_host(host: str, *, bound: str) -> bool:
    """Whether a Host header names this machine. Any other name may be a web page that points its own name here."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    return not name or name in {"localhost", "127.0.0.1", "[::1]", "0.0.0.0", bound}  # noqa: S104  a name, not a bind


def read_origin(headers: Message) -> str:
    """The origin of the web page that asks; empty when no page asks, or one of this server."""
    origin = headers.get("Origin") or ""
    host = headers.get("Host") or ""
    return "" if origin in (f"http://{host}", f"https://{host}") else origin


def is_own_origin(origin: str) -> bool:
    """Whether a page of that origin may ask: pages of this machine, and desktop apps with their own scheme."""
    scheme, _, host = origin.partition("://")
    return scheme in _APP_SCHEMES or (scheme in ("http", "https") and bool(host) and is_own_host(host, bound=""))


def allow_origin(origin: str, *, preflight: bool) -> dict[str, str]:
    """The headers that let a page of that origin read the answer."""
    if not preflight:
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
    return {
        "Access-Control-Allow-Headers": _HEADERS,
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Max-Age": "43200",
        "Vary": "Access-Control-Request-Headers",
    }
