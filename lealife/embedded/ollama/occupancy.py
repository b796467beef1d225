"""Who uses the model: requests that generate or wait for their turn, and tags that keep it loaded."""

from __future__ import annotations

import math
import threading
import time
from bisect import insort
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from lealife.core.urgency import Urgency

from .registry import Tag
from .wire import BUSY, FOREVER, ApiError, ClientGone

# How often a waiting request checks that its client is still connected.
LOOK_EVERY_S = 0.5
# A run asks again within a moment. Its next call must not find a less urgent one in its place.
LINGER_S = 0.5
# A long request gives way for so long in each of its pauses, and each step of urgency is worth so much waiting.
PAUSE_S, BEHIND_S = 1.0, 5.0


class Foreground:
    """The requests of a whole server that someone waits for: those of ordinary urgency, and more urgent ones.

    All models share the cores, so while one of these waits or runs, what is less urgent begins nothing new for a while.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._ended = -math.inf

    @contextmanager
    def hold(self, *, urgency: int) -> Iterator[None]:
        """Runs a request. A less urgent one than the ordinary holds nothing up."""
        if urgency > Urgency.PERSON:
            yield
            return
        with self._lock:
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                self._ended = time.monotonic()

    def must_wait(self, *, urgency: int) -> bool:
        """Whether a request of this urgency gives way now."""
        if urgency <= Urgency.PERSON:
            return False
        with self._lock:
            return self._running > 0 or time.monotonic() - self._ended < LINGER_S


class Admission:
    """`parallel` requests run at once, `max_queue` more wait, the others get Ollama's 503.

    A less urgent one counts as if it had come later, `BEHIND_S` for each step. So the more urgent one is next, but none
    waits for ever.
    """

    def __init__(self, parallel: int, *, max_queue: int, foreground: Foreground) -> None:
        """`foreground`: of all models of the server."""
        self._free = parallel
        self._max_queue = max_queue
        self._foreground = foreground
        # When each counts as come, and its number; the next one first.
        self._line: list[tuple[float, int]] = []
        self._arrived = 0
        self._changed = threading.Condition()

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        with self._changed:
            return len(self._line)

    @contextmanager
    def admit(self, *, urgency: int, is_gone: Callable[[], bool]) -> Iterator[None]:
        """Waits for a turn and holds it; the lowest `urgency` comes first.

        Raises ApiError 503 when the queue is full, ClientGone after a hang-up.
        """
        with self._foreground.hold(urgency=urgency), self._take_turn(urgency=urgency, is_gone=is_gone):
            yield

    @contextmanager
    def _take_turn(self, *, urgency: int, is_gone: Callable[[], bool]) -> Iterator[None]:
        with self._changed:
            counts_from = time.monotonic() + BEHIND_S * (urgency - Urgency.PERSON)
            ticket = (counts_from, self._arrived)
            self._arrived += 1
            if (self._free == 0 or self._line) and len(self._line) >= self._max_queue:
                raise ApiError(503, BUSY)
            insort(self._line, ticket)
            try:
                while (
                    self._free == 0
                    or self._line[0] is not ticket
                    or (time.monotonic() < counts_from and self._foreground.must_wait(urgency=urgency))
                ):
                    self._changed.wait(LOOK_EVERY_S)
                    if is_gone():
                        raise ClientGone
                self._free -= 1
            finally:
                self._line.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()

    def give_way(self, *, urgency: int, is_gone: Callable[[], bool]) -> bool:
        """For the pauses of a long request: waits a little while it must; whether its client is gone then."""
        ends = time.monotonic() + PAUSE_S
        while self._foreground.must_wait(urgency=urgency) and time.monotonic() < ends and not is_gone():
            time.sleep(LINGER_S / 10)
        return is_gone()


@dataclass(frozen=True, slots=True)
class Resident:
    """A loaded tag, as it was at loading, its context in tokens, and when it is unloaded."""

    tag: Tag
    num_ctx: int
    expires_at: datetime


class Residency:
    """The loaded tags, which `/api/ps` lists. Several share one set of weights: the last to leave lets it be freed."""

    def __init__(self) -> None:
        self._residents: dict[str, Resident] = {}
        self._lock = threading.Lock()
        self._used: set[str] = set()

    def keep(self, tag: Tag, *, num_ctx: int, seconds: float | None, now: datetime) -> None:
        """Keeps a tag loaded for `seconds` from now; None: for ever, 0: unloads it."""
        with self._lock:
            self._used.add(tag.manifest.weights)
            if seconds == 0:
                self._residents.pop(tag.name, None)
                return
            stay = FOREVER if seconds is None else timedelta(seconds=seconds)
            self._residents[tag.name] = Resident(tag, num_ctx, now + stay)

    def drop(self, name: str) -> None:
        """Forgets a tag that was unloaded or deleted."""
        with self._lock:
            self._residents.pop(name, None)

    def list(self, *, now: datetime) -> list[Resident]:
        """The loaded tags, the one that stays longest first. Forgets those whose time is over."""
        with self._lock:
            self._residents = {n: r for n, r in self._residents.items() if r.expires_at > now}
            return sorted(self._residents.values(), key=lambda r: r.expires_at, reverse=True)

    def is_spent(self, weights: str, *, now: datetime) -> bool:
        """Whether tags with these weights were loaded and all have left.

        False before the first request, so that it finds weights that were loaded at the start.
        """
        loaded = {resident.tag.manifest.weights for resident in self.list(now=now)}
        return weights in self._used - loaded
