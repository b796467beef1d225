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

    Raises ApiError 400 for anything else.
    """
    if value is None or value == "":
        return DEFAULT_KEEP_ALIVE_S
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ApiError(400, f"time: invalid duration {value!r}")
    try:
        seconds = float(value)
    except ValueError:
        seconds = _parse_go_duration(str(value))
    if seconds != seconds:
        raise ApiError(400, f"time: invalid duration {value!r}")
    return None if seconds < 0 or seconds > FOREVER.total_seconds() else seconds


def _parse_go_duration(text: str) -> float:
    sign, digits = (-1.0, text[1:]) if text.startswith("-") else (1.0, text)
    parts = _DURATION_PART.findall(digits)
    if not parts or "".join(amount + unit for amount, unit in parts) != digits:
        raise ApiError(400, f'time: invalid duration "{text}"')
    return sign * sum(float(amount) * _SECONDS[unit] for amount, unit in parts)
