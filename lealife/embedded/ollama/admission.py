"""Who may generate now, who waits, and who is turned away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .wire import BUSY, ApiError, ClientGone

# How often one who waits looks whether his client is still there.
LOOK_EVERY_S = 0.5


class Admission:
    """`parallel` at once, `max_queue` more may wait in order of arrival; beyond that Ollama's 503."""

    def __init__(self, *, parallel: int, max_queue: int) -> None:
        self._free = parallel
        self._max_queue = max_queue
        self._line: list[object] = []
        self._changed = threading.Condition()

    @contextmanager
    def admit(self, *, is_gone: Callable[[], bool]) -> Iterator[None]:
        """Wait for a turn and hold it. Raises ApiError 503 when the line is full, ClientGone when he left."""
        ticket = object()
        with self._changed:
            if (self._free == 0 or self._line) and len(self._line) >= self._max_queue:
                raise ApiError(503, BUSY)
            self._line.append(ticket)
            try:
                while self._free == 0 or self._line[0] is not ticket:
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
