"""Readers of environment variables. Each error message says how to fix the value.

Not environs: its readers would need a wrapper of the same length for bounds and for these sentences.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

# Longest contact address, in characters.
CONTACT_MAX = 200
_ENCODE = "Percent-encode special characters of a user's name or a password: / as %2F, @ as %40."
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


def read_text(name: str, *, default: str) -> str:
    """The variable's value, stripped; `default` when unset."""
    return os.environ.get(name, default).strip()


def read_subpath(name: str) -> str | None:
    """A path such as `/lea`, without the slash at its end; None when unset or `/`."""
    value = read_text(name, default="").strip("/")
    return f"/{value}" if value else None


def read_list(name: str, *, default: list[str]) -> list[str]:
    """A comma-separated list."""
    value = os.environ.get(name)
    return default if value is None else [part.strip() for part in value.split(",") if part.strip()]


def read_flag(name: str) -> bool:
    """1/true/yes/on or 0/false/no/off; False when unset."""
    value = os.environ.get(name, "")
    lowered = value.strip().lower()
    if lowered in _TRUE | _FALSE:
        return lowered in _TRUE
    raise ImproperlyConfigured(f"{name}={value!r} is neither yes nor no: set it to 1 or 0.")


def read_int(name: str, *, default: int, least: int, most: int) -> int:
    """A whole number within bounds."""
    value = os.environ.get(name)
    if value is None or not value.strip():
        return default
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name}={value!r} is not a whole number.") from None
    if not least <= number <= most:
        raise ImproperlyConfigured(f"{name}={number} is outside {least}–{most}.")
    return number


def read_contact(name: str) -> str:
    """A contact address to send in an HTTP header: printable ASCII without brackets; "" when unset."""
    value = read_text(name, default="")
    if len(value) > CONTACT_MAX or not value.isascii() or not value.isprintable() or set("()<>\\") & set(value):
        raise ImproperlyConfigured(
            f"{name} cannot be sent in a header. Set it to the address of a web page or a mail address, for example "
            "https://example.org/bot or bot@example.org."
        )
    return value


def read_secret_key(path: Path) -> str:
    """`SECRET_KEY`, or a key made once and kept in a file only its owner can read."""
    named = os.environ.get("SECRET_KEY")
    if named:
        return named
    # Exclusive creation: when two processes start together, one writes the file and the other reads it.
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_urlsafe(48))
    return path.read_text().strip()


def read_database(name: str) -> dict[str, Any]:
    """Django's database settings from a `postgresql://` URL, read by libpq's own rules.

    Sockets as `%2Fvar%2Frun` or `?host=`, several hosts, `sslmode`, `options` and everything else that libpq knows
    work. Raises ImproperlyConfigured, without the password in it, when libpq cannot read the URL.
    """
    url = os.environ.get(name, "").strip()
    if not url:
        raise ImproperlyConfigured(
            f"{name} is not set. Start through manage.py, scripts/up or scripts/test, which start the embedded "
            f"PostgreSQL, or set {name}=postgresql://user:password@host:5432/name."
        )
    if not url.startswith(("postgresql://", "postgres://")):
        raise ImproperlyConfigured(f"{name} must start with postgresql:// or postgres://.")
    try:
        options = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        # After the colon libpq quotes a part of the URL, which may contain the password.
        fault = str(error).partition(":")[0].partition('"')[0].strip()
        raise ImproperlyConfigured(f"{name} cannot be read: {fault}. {_ENCODE}") from None
    ports = str(options.pop("port", ""))
    if not all(port.isdecimal() and 0 < int(port) < 65536 for port in ports.split(",") if port):
        raise ImproperlyConfigured(f"{name} has a port that is not a number from 1 to 65535. {_ENCODE}")
    hosts = str(options.pop("host", ""))
    if any("@" in host[1:] for host in hosts.split(",") if not host.startswith("/")):
        # libpq would take the rest of the password as the host's name, and errors would show it.
        raise ImproperlyConfigured(f"{name} has more than one @ before its host. {_ENCODE}")
    user = str(options.pop("user", ""))
    # Without a database name libpq uses the service's, or else the user's name.
    default = "" if "service" in options else os.environ.get("PGDATABASE", "") or user or _read_default_user()
    return {
        "ENGINE": "lealife.core.postgresql",
        "NAME": str(options.pop("dbname", "") or default),
        "USER": user,
        "PASSWORD": str(options.pop("password", "")),
        "HOST": hosts,
        "PORT": ports,
        # Keep connections open: without this, the queue's ORM broker is many times slower.
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


def _read_default_user() -> str:
    """The user that libpq connects as when the URL names none."""
    found = {each.keyword: each.val for each in psycopg.pq.Conninfo.get_defaults()}
    return (found.get(b"user") or b"postgres").decode()
