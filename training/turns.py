"""The turns of a host: pages are asked of it one after the other, over all runs and machines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import F
from django.db.models.functions import Greatest, Now

from training.agent.web.address import read_origin
from training.agent.web.pace import RETRY_AFTER_MAX_S
from training.models import Host, HostTurn

# A turn further ahead than this was written before the clock moved back, and counts as past. In seconds.
FURTHEST_S = 2 * RETRY_AFTER_MAX_S


@dataclass(frozen=True, slots=True)
class HostPace:
    """The agent's Pace over the database: its clock is Postgres's, which all machines share.

    `origin` is the name and port that the host's base address leads to.
    """

    origin: str

    @classmethod
    def of(cls, host: Host) -> HostPace:
        """The turns of the server that this host is on. Raises ValueError for an unusable base address."""
        name, port = read_origin(host.base_url)
        return cls(f"{name}:{port}")

    def reserve_turn(self, *, delay_s: float, within_s: float) -> float | None:
        """Takes the host's next turn and returns the seconds until it; the one after is `delay_s` later.

        None when the turn is further away than `within_s` seconds: then none is taken.
        """
        turns = HostTurn.objects.filter(origin=self.origin)
        HostTurn.objects.get_or_create(origin=self.origin)
        while True:
            row = turns.annotate(now=Now()).get()
            turn = max(row.next_at, row.now)
            wait_s = (turn - row.now).total_seconds()
            if wait_s > FURTHEST_S:
                turn, wait_s = row.now, 0.0
            if wait_s > within_s:
                return None
            # Of two that want the same turn one moves the row, and the other looks again.
            if turns.filter(next_at=row.next_at).update(next_at=turn + timedelta(seconds=delay_s)):
                return wait_s

    def postpone(self, *, seconds: float) -> None:
        """Gives no turn for so many seconds: the site asked for it."""
        HostTurn.objects.get_or_create(origin=self.origin)
        later = Now() + timedelta(seconds=seconds)
        HostTurn.objects.filter(origin=self.origin).update(next_at=Greatest(F("next_at"), later))
