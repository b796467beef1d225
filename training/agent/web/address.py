"""Addresses: their canonical spelling, and which of them belong to a site.

Not a library: the URL standard (ada-url) keeps %7E and ~ apart, and w3lib sorts the query.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address
from urllib.parse import quote, unquote, urldefrag, urlsplit, urlunsplit

import idna

from training.agent.task import Site

DEFAULT_PORTS = {"http": 80, "https": 443}

_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?")
_ROUTE = re.compile(r"!?/.")
_SLASH = re.compile(r"[/\\]")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# Left as they are in a query: everything printable that is no blank and no "#".
_QUERY_SAFE = "%!$&'()*+,;=:@/?-._~[]|{}^`\"<>\\"


@lru_cache(maxsize=8_192)
def canonical_url(url: str) -> str:
    """The canonical spelling of a page's address: no default port, path normalised, query unchanged.

    The fragment is removed, unless it is a route of a scripted page (#/orders, #!/orders), which is a separate page.
    Raises ValueError when it is not an http(s) URL with a valid host, or contains credentials.
    """
    parts = urlsplit(url.strip())
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS:
        raise ValueError(f"{url[:80]!r} is not an http or https address")
    if "@" in parts.netloc:
        raise ValueError("the address contains a user name or password")
    host = _canonical_host(parts.hostname or "")
    port = parts.port
    if port == 0:
        raise ValueError("port 0 is not a valid port")
    netloc = host if port is None or port == DEFAULT_PORTS[scheme] else f"{host}:{port}"
    query = quote(parts.query, safe=_QUERY_SAFE)
    route = quote(parts.fragment, safe=_QUERY_SAFE) if _ROUTE.match(parts.fragment) else ""
    return urlunsplit((scheme, netloc, _canonical_path(parts.path), query, route))


def is_same_document(url: str, other: str) -> bool:
    """Whether both addresses lead to the same request, whatever their fragments."""
    try:
        return urldefrag(canonical_url(url)).url == urldefrag(canonical_url(other)).url
    except ValueError:
        return False


def drop_fragment(href: str) -> str:
    """The link without its fragment, unless that is a route of a scripted page."""
    before, _, fragment = href.partition("#")
    return href if _ROUTE.match(fragment) else before


def is_same_site(url: str, *, site: Site) -> bool:
    """Whether runs of the site may visit the address: on its base URL's host and port, or those of an alias.

    And below its base path, where the site says so.
    """
    try:
        return read_origin(url) in site_origins(site) and is_in_scope(url, site=site)
    except ValueError:
        return False


def is_in_scope(url: str, *, site: Site) -> bool:
    """Whether the path is one that runs may visit: any, or those below the base path. Raises ValueError."""
    if not site.stay_below_base_path:
        return True
    path = urlsplit(canonical_url(url)).path
    base = find_base_path(site)
    # Some servers read an escaped slash as a slash, also one escaped twice, and "..;x" as "..".
    is_climbing = any(part.partition(";")[0] == ".." for part in _SLASH.split(unquote(unquote(path))))
    return not is_climbing and (path.startswith(base) or path == base.rstrip("/"))


@lru_cache(maxsize=64)
def find_base_path(site: Site) -> str:
    """The folder that the base URL names, with its slash: /docs/ for /docs/, /docs and /docs/index.html."""
    path = urlsplit(canonical_url(site.base_url)).path
    folder, _, name = path.rpartition("/")
    return f"{folder}/" if not name or "." in name else f"{path}/"


def name_alias(url: str, *, site: Site) -> str:
    """How the address's host is spelled as an alias of the site: with its port where that is another. ValueError."""
    host, port = read_origin(url)
    _, base_port = read_origin(site.base_url)
    is_usual = port == base_port or {port, base_port} == {80, 443}
    host = f"[{host}]" if ":" in host else host
    return host if is_usual else f"{host}:{port}"


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
            raise ValueError("an address with a zone is not a host")
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
