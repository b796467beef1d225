"""Which tags are loaded, and until when. All tags share one set of weights; the last to go frees it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from .wire import FOREVER


@dataclass(frozen=True, slots=True)
class Resident:
    """A loaded tag: its digest at loading, the context it was given, and when it leaves."""

    name: str
    digest: str
    num_ctx: int
    expires_at: datetime


class Residency:
    """The tags that `/api/ps` lists."""

    def __init__(self) -> None:
        self._residents: dict[str, Resident] = {}
        self._lock = threading.Lock()
        self._was_used = False

    def keep(self, *, name: str, digest: str, num_ctx: int, seconds: float | None, now: datetime) -> None:
        """Keep a tag loaded for `seconds` from now; None for ever, 0 not at all."""
        with self._lock:
            self._was_used = True
            if seconds == 0:
                self._residents.pop(name, None)
                return
            stay = FOREVER if seconds is None else timedelta(seconds=seconds)
            self._residents[name] = Resident(name, digest, num_ctx, now + stay)

    def drop(self, name: str) -> None:
        """Forget a tag that was unloaded or deleted."""
        with self._lock:
            self._residents.pop(name, None)

    def list(self, *, now: datetime) -> list[Resident]:
        """The tags still loaded, the longest staying first; those whose time is over are forgotten."""
        with self._lock:
            self._residents = {n: r for n, r in self._residents.items() if r.expires_at > now}
            return sorted(self._residents.values(), key=lambda r: r.expires_at, reverse=True)

    def is_spent(self, *, now: datetime) -> bool:
        """Whether tags were loaded and all have left; False at the start: the weights wait for the first."""
        return not self.list(now=now) and self._was_used
