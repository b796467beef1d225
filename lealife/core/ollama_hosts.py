"""Addresses of Ollama servers: every form of `OLLAMA_HOST`, and how to show one without its password."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from urllib.parse import unquote, urlsplit

DEFAULT_PORT = 11434
LOOPBACK = "127.0.0.1"
# Default port of each scheme. An address without a scheme uses Ollama's own port.
PORTS = {"http": 80, "https": 443}
_BLANKS_AND_QUOTES = " \t\r\n\"'"
_HOST = re.compile(r"[A-Za-z0-9._~-]+", re.ASCII)
_FOUR_NUMBERS = re.compile(r"\d+(\.\d+){3}", re.ASCII)
_CREDENTIALS = re.compile(r"(\w[\w+.-]*://)[^\s/]*@|(\w[\w+.-]*://)\S*@")


def parse_hosts(text: str) -> tuple[str, ...]:
    """Addresses from a comma-separated list in any form that Ollama's own client accepts, in this order, each once.

    `:11434`, `0.0.0.0` and `::` mean this machine; `::1`, `[::1]:11434` and `host/path/` are addresses too.
    Credentials stay in the address. Raises ValueError, whose text has no credentials, when the list is empty or an
    address is unusable.
    """
    parts = (part.strip(_BLANKS_AND_QUOTES) for part in text.strip(_BLANKS_AND_QUOTES).split(","))
    try:
        hosts = tuple(dict.fromkeys(parse_host(part) for part in parts if part))
    except ValueError:
        if "@" in text:
            # A comma in a password splits it too, so with an @ in the list no part of it may be shown.
            raise ValueError("An entry of OLLAMA_HOST is not the address of an Ollama server.") from None
        raise
    if not hosts:
        raise ValueError("OLLAMA_HOST names no Ollama server.")
    return hosts


def parse_host(text: str) -> str:
    """One full address: scheme, host, the port unless it is the scheme's default, and a path without its last slash.

    Raises ValueError, which quotes the text.
    """
    scheme, separator, rest = text.partition("://")
    scheme, rest = (scheme.lower(), rest) if separator else ("http", text)
    if scheme not in PORTS or not rest.strip("/"):
        raise _refuse(text)
    credentials, _, place = rest.rpartition("@")
    where, slash, path = place.partition("/")
    if where.count(":") > 1 and not where.startswith("["):
        where = f"[{where}]"
    try:
        parts = urlsplit(f"{scheme}://{where}")
        port = parts.port or (PORTS[scheme] if separator else DEFAULT_PORT)
    except ValueError:
        raise _refuse(text) from None
    host = _name_host(parts.hostname or LOOPBACK)
    if host is None or parts.query or parts.fragment:
        raise _refuse(text)
    login = f"{credentials}@" if credentials else ""
    shown_port = "" if port == PORTS[scheme] else f":{port}"
    folder = path.strip("/")
    return f"{scheme}://{login}{host}{shown_port}" + (f"/{folder}" if slash and folder else "")


def _name_host(host: str) -> str | None:
    """The host as a URL spells it; None when it is not a host. An address for every interface means this machine."""
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        if address.is_unspecified:
            return LOOPBACK if address.version == 4 else "[::1]"
        return f"[{address}]" if address.version == 6 else str(address)
    with suppress(UnicodeError):
        name = host.encode("idna").decode()
        # Four numbers that are not an address, such as 256.1.1.1, are not a name either.
        return name if _HOST.fullmatch(name) and not _FOUR_NUMBERS.fullmatch(name) else None
    return None


def _refuse(text: str) -> ValueError:
    return ValueError(f"“{text}” in OLLAMA_HOST is not the address of an Ollama server.")


def split_credentials(host: str) -> tuple[str, tuple[str, str] | None]:
    """The address without its credentials, and (user, password); None in their place when it has none."""
    scheme, _, rest = host.partition("://")
    credentials, _, place = rest.rpartition("@")
    if not credentials:
        return host, None
    user, _, password = credentials.partition(":")
    return f"{scheme}://{place}", (unquote(user), unquote(password))


def hide_credentials(text: str) -> str:
    """The text without user and password in any address."""
    return _CREDENTIALS.sub(lambda found: found.group(1) or found.group(2), text)
