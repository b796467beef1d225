"""What goes over the wire: Ollama's errors, times and durations."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

DEFAULT_KEEP_ALIVE_S = 300.0
# Ollama writes "for ever" as the largest duration Go can hold: about 292 years.
FOREVER = timedelta(days=292 * 365)

BUSY = "server busy, please try again.  maximum pending requests exceeded"
TOO_LONG = "the input length exceeds the context length"
NOT_PULLABLE = "pull model manifest: file does not exist"

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class ApiError(Exception):
    """A refusal with the HTTP status and the sentence that Ollama would give."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class ClientGone(Exception):
    """The client hung up: nobody is left to answer."""


def format_time(moment: datetime) -> str:
    """An aware time as RFC 3339 in UTC with microseconds, as Go's clients expect."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def now() -> datetime:
    """The current time, aware, UTC."""
    return datetime.now(UTC)


def parse_keep_alive(value: Any) -> float | None:
    """Seconds to stay loaded; None for ever. Numbers are seconds, strings Go durations (`5m`, `1h30m`).

    Raises ApiError 400, in Go's words, for anything else.
    """
    if value is None:
        return DEFAULT_KEEP_ALIVE_S
    if isinstance(value, str):
        seconds = _parse_go_duration(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        kind = {bool: "bool", list: "[]interface {}"}.get(type(value), "map[string]interface {}")
        raise ApiError(400, f"Unsupported type: '{kind}'")
    return None if seconds < 0 or seconds > FOREVER.total_seconds() else seconds


def _parse_go_duration(text: str) -> float:
    sign, digits = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    if digits == "0":
        return 0.0
    parts = _DURATION_PART.findall(digits)
    if parts and "".join(amount + unit for amount, unit in parts) == digits:
        return sign * sum(float(amount) * _SECONDS[unit] for amount, unit in parts)
    what = "missing unit in" if re.fullmatch(r"[0-9.]*[0-9][0-9.]*", digits) else "invalid"
    raise ApiError(400, f'time: {what} duration "{text}"')
