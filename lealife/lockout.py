"""What a right password forgets of the wrong ones before it."""

from __future__ import annotations

from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from django.http import HttpRequest


class OwnNameHandler(AxesDatabaseHandler):
    """Counts wrong passwords in the database; a right one forgets those for its own name alone.

    Axes would forget all that came from the address: who has an account could try the passwords of others without end.
    """

    def reset_user_attempts(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Deletes the address's failures for the name that has signed in; returns how many rows those were."""
        name = (credentials or {}).get("username")
        address = request.axes_ip_address  # type: ignore[attr-defined]  # set by Axes' middleware
        # Without a name Axes would delete all that came from the address.
        return int(self.reset_attempts(ip_address=address, username=name)) if name else 0
