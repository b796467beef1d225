"""Which failed sign-ins are forgotten after a right password."""

from __future__ import annotations

from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from django.http import HttpRequest


class OwnNameHandler(AxesDatabaseHandler):
    """Counts wrong passwords in the database; a right one resets only the count of its own user name.

    Axes would reset the count of the whole address: a user with an account could then try the passwords of others
    without limit.
    """

    def reset_user_attempts(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Deletes the address's failures for the name that has signed in; returns how many rows those were."""
        name = (credentials or {}).get("username")
        address = request.axes_ip_address  # type: ignore[attr-defined]  # set by Axes' middleware
        # Without a name Axes would delete all that came from the address.
        return int(self.reset_attempts(ip_address=address, username=name)) if name else 0
