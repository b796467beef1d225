"""Addresses: their one spelling, and which belong to a site."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import idna

from training.agent.task import Site

DEFAULT_PORTS = {"http": 80, "https": 443}

_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# Left as they are in a query: everything printable that is no blank and no "#".
_QUERY_SAFE = "%!$&'()*+,;=:@/?-._~[]|{}^`\"<>\\"


@lru_cache(maxsize=8_192)
def canonical_url(url: str) -> str:
    """The one spelling of a page's address: no fragment, no default port, path normalised, query as it is.

    Raises ValueError when it is no http(s) URL with a sane host, or carries credentials.
    """
    parts = urlsplit(url.strip())
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS:
        raise ValueError(f"{url[:80]!r} is not an http or https address")
    if "@" in parts.netloc:
        raise ValueError("the address carries credentials")
    host = _canonical_host(parts.hostname or "")
    port = parts.port
    if port == 0:
        raise ValueError("port 0 is no port")
    netloc = host if port is None or port == DEFAULT_PORTS[scheme] else f"{host}:{port}"
    query = quote(parts.query, safe=_QUERY_SAFE)
    return urlunsplit((scheme, netloc, _canonical_path(parts.path), query, ""))


def is_same_site(url: str, *, site: Site) -> bool:
    """Whether the address belongs to the site: its base URL's host and port, or those of an alias."""
    try:
        return read_origin(url) in site_origins(site)
    except ValueError:
        return False


@lru_cache(maxsize=1_024)
def read_origin(url: str) -> tuple[str, int]:
    """(host, port) of an http(s) address. Raises ValueError."""
    parts = urlsplit(canonical_url(url))
    return parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]


@lru_cache(maxsize=64)
def site_origins(site: Site) -> frozenset[tuple[str, int]]:
    """Every (host, port) that belongs to the site. Raises ValueError when its base URL is unusable.

    An alias without a port has the base URL's. A site on a default port is reachable on both 80 and 443,
    since sites redirect to https.
    """
    _, base_port = read_origin(site.base_url)
    base_ports = {80, 443} if base_port in (80, 443) else {base_port}
    origins: set[tuple[str, int]] = set()
    for name in (site.base_url, *site.aliases):
        address = name if "//" in name else f"http://{name}"
        host, port = read_origin(address)
        has_own_port = name != site.base_url and urlsplit(address).port is not None
        origins.update((host, each) for each in ({port} if has_own_port else base_ports))
    return frozenset(origins)


def _canonical_host(host: str) -> str:
    if ":" in host:
        if "%" in host:
            raise ValueError("an address with a zone is no host")
        return f"[{IPv6Address(host).compressed}]"
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except idna.IDNAError as error:
            raise ValueError(f"{host[:80]!r} is not a host name: {error}") from None
    host = host.rstrip(".").lower()
    if not _HOST.fullmatch(host):
        raise ValueError(f"{host[:80]!r} is not a host name")
    return host


def _canonical_path(path: str) -> str:
    path = _BAD_ESCAPE.sub("%25", path)
    path = _ESCAPE.sub(_decode_unreserved, path)
    path = quote(path, safe="%/!$&'()*+,;=:@-._~")
    parts = path.split("/")[1:]
    kept: list[str] = []
    for part in parts:
        if part == "..":
            del kept[-1:]
        elif part != ".":
            kept.append(part)
    if parts and parts[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def _decode_unreserved(match: re.Match[str]) -> str:
    character = unquote(match.group())
    return character if character in _UNRESERVED else match.group().upper()
