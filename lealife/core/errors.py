"""Refusals: errors whose message is one sentence for the user, translated once at each edge.

API → problem+json, page → form message, admin → admin message, command → CommandError.
"""

from __future__ import annotations

from typing import Any

from lealife.core.ollama_hosts import hide_credentials

BREAKAGE_MAX = 500


class Refused(Exception):
    """A request that cannot be done. `str(error)` is the sentence; `details` is machine-readable."""

    status = 409
    code = "refused"

    def __init__(self, sentence: str, **details: Any) -> None:
        super().__init__(sentence)
        self.details = details


class InvalidInput(Refused):
    """The input itself is wrong; `field` says which."""

    status = 422
    code = "invalid_input"


class NotFound(Refused):
    """The named thing does not exist."""

    status = 404
    code = "not_found"


class Forbidden(Refused):
    """The caller lacks a permission; `permission` in the details names it."""

    status = 403
    code = "forbidden"


class Conflict(Refused):
    """The state does not allow it, for example because someone else changed it first."""

    code = "conflict"


class StaleClaim(Conflict):
    """A write by a worker that has lost its lease: the run's fence has changed since its claim."""

    code = "stale_claim"


class GateRefused(Refused):
    """The promotion gate does not allow it."""

    code = "gate_refused"


def describe_breakage(error: BaseException) -> str:
    """An unexpected error as a run's row and page show it: short, without SQL or passwords."""
    name = type(error).__name__
    if any(kind.__module__ == "django.db.utils" for kind in type(error).__mro__):
        # Its message contains the statement and values from it.
        return f"The database refused a write of the run ({name}). See the worker's log for the reason."
    return hide_credentials(f"{name}: {error}")[:BREAKAGE_MAX]
