"""Limits for Chromium: a browser that takes too long for a page, or too much memory, is killed."""

from __future__ import annotations

import time
from contextlib import suppress
from threading import Event, Thread

import psutil

from training.agent.errors import ErrorCode

# Reading and closing a page have no time limit of their own, and an endless script would block both for ever.
REST_SECONDS = 20.0
# Resident memory of all Chromium processes, with shared memory counted once per process: an empty tab has 0.9 GB.
MEMORY_BYTES_MAX = 1_500_000_000
CHECK_EVERY_S = 0.2


class ChromiumWatch:
    """Watches one page's work; a context manager. `code` and `reason` say why Chromium was ended, once it was.

    Chromium's first process is found by `mark`, one of its arguments.
    """

    def __init__(self, *, mark: str) -> None:
        self._mark = mark
        self._done = Event()
        self._thread = Thread(target=self._watch, name="chromium-watch", daemon=True)
        self.code: ErrorCode | None = None
        self.reason = ""

    def __enter__(self) -> ChromiumWatch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        ends_at = time.monotonic() + REST_SECONDS
        while not self._done.wait(CHECK_EVERY_S):
            tree = self.list_processes()
            if sum(_read_memory(process) for process in tree) > MEMORY_BYTES_MAX:
                self.code = ErrorCode.TOO_LARGE
                self.reason = f"it takes more than {MEMORY_BYTES_MAX // 1_000_000:,} MB of memory"
            elif time.monotonic() > ends_at:
                self.code = ErrorCode.FETCH_FAILED
                self.reason = f"its scripts did not come to rest within {REST_SECONDS:g} seconds"
            if self.code:
                # Whatever waits for Chromium then fails, and the next page starts another.
                for process in tree:
                    with suppress(psutil.Error):
                        process.kill()
                return

    def list_processes(self) -> list[psutil.Process]:
        """Chromium's first process and all below it, as they are now."""
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if self._mark in process.cmdline():
                    return [process, *process.children(recursive=True)]
        return []


def _read_memory(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0
