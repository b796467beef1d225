"""The crowd: processes forked from one that is warm, killed at random moments and replaced at once."""

from __future__ import annotations

import logging
import os
import random
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection

from lealife.core.announce import stop_announcing

log = logging.getLogger(__name__)
REAP_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Kill:
    """One SIGKILL: whom, as leases name it, what it did, and when it was dead, in seconds since 1970."""

    name: str
    role: str
    at: float


class Crowd:
    """So many processes of each role; `jobs` says what a role does."""

    def __init__(self, jobs: dict[str, Callable[[], None]]) -> None:
        self._jobs = jobs
        self._roles: dict[int, str] = {}
        self.kills: list[Kill] = []
        self.broken = 0

    def fork(self, role: str) -> int:
        """Starts one process; returns its pid."""
        pid = fork_process(self._jobs[role])
        self._roles[pid] = role
        return pid

    def choose(self, randomness: random.Random, *, role: str) -> int:
        """One living process of a role."""
        return randomness.choice(sorted(pid for pid, found in self._roles.items() if found == role))

    def kill(self, pid: int) -> Kill:
        """SIGKILL, and a new process in its place."""
        role = self._roles.pop(pid)
        os.kill(pid, signal.SIGKILL)
        killed = Kill(f"{socket.gethostname()}:{pid}", role, time.time())
        os.waitpid(pid, 0)
        self.kills.append(killed)
        self.fork(role)
        return killed

    def look_after(self) -> None:
        """Replaces, and counts, processes that ended without having been killed."""
        for pid in list(self._roles):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self.broken += 1
                self.fork(self._roles.pop(pid))

    def wait(self, *, within_s: float) -> None:
        """Waits for processes that were told to stop; those that do not are killed and counted as broken."""
        ends = time.monotonic() + within_s
        while self._roles:
            for pid in list(self._roles):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if not ended and time.monotonic() > ends:
                    os.kill(pid, signal.SIGKILL)
                    status = os.waitpid(pid, 0)[1]
                    ended = pid
                if ended:
                    self.broken += status != 0
                    del self._roles[pid]
            time.sleep(REAP_EVERY_S)

    def end(self) -> None:
        """Kills all that are left."""
        for pid in list(self._roles):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            del self._roles[pid]


def fork_process(job: Callable[[], None]) -> int:
    """Forks a process that does one job and ends; 0 is its exit code when nothing was raised.

    Neither a connection nor the announcer's thread is carried over: a child opens its own.
    """
    stop_announcing()
    connection.close()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        job()
        code = 0
    except Exception:
        # The worker's edge: no caller is above it that could handle this.
        log.exception("a process of the crowd broke")
    finally:
        os._exit(code)
