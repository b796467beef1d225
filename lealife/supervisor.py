"""The supervisor: starts the children, reports and restarts those that crash, and ends them one by one.

Each child has its own session, and only its main process gets signals: a signal to a whole process group would kill
django-q2's workers in the middle of a task.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

log = logging.getLogger("lealife.up")
PR_SET_PDEATHSIG = 1
BACKOFF_S = (0.5, 1, 2, 5, 10)
# After running this long a child counts as recovered: after its next crash it is restarted without a pause.
STEADY_AFTER_S = 60


@dataclass(slots=True)
class Child:
    """One child process. `stop_within_s`: how long it may take to finish its work after a stop."""

    name: str
    command: Sequence[str]
    stop_within_s: float = 5.0
    environment: dict[str, str] = field(default_factory=dict)
    folder: str | None = None
    keep_stdin_open: bool = False
    quiet: bool = False
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restart_at: float = 0.0
    crashes: int = 0

    def start(self) -> None:
        """Starts it in its own session."""
        output = subprocess.DEVNULL if self.quiet else None
        self.process = subprocess.Popen(  # noqa: S603  our own commands
            self.command,
            env={**os.environ, **self.environment},
            cwd=self.folder,
            stdin=subprocess.PIPE if self.keep_stdin_open else subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        self.started_at = time.monotonic()

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def describe_end(self) -> str:
        code = self.process.returncode if self.process else None
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def stop(self) -> None:
        """Sends SIGTERM to its main process, waits, and then sends SIGKILL to the rest of its session."""
        if self.process is not None and not self.has_ended():
            self.process.terminate()
            try:
                self.process.wait(timeout=self.stop_within_s)
            except subprocess.TimeoutExpired:
                log.warning("%s did not end within %.0f s and is killed.", self.name, self.stop_within_s)
        self.kill_session()

    def kill_session(self) -> None:
        """Kills all remaining processes of its session."""
        if self.process is None:
            return
        if self.process.stdin is not None:
            self.process.stdin.close()
        # A session outlives its main process: a remaining worker would keep a port or a lease.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)


def _die_with_parent() -> None:
    # When the supervisor is killed, the kernel sends its children SIGTERM.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Supervisor:
    """Runs children until a signal comes or `until` returns True."""

    def __init__(self, *, say: Callable[[str], None]) -> None:
        self.children: list[Child] = []
        self._say = say
        # Whether a signal has come.
        self.is_stopping = False

    def start(self, child: Child) -> None:
        """Starts a child and supervises it from now on."""
        child.start()
        self.watch(child)

    def watch(self, child: Child) -> None:
        """Supervises a child that is already running."""
        child.started_at = child.started_at or time.monotonic()
        self.children.append(child)

    def catch_signals(self) -> None:
        """SIGINT and SIGTERM end `run`; a second one changes nothing."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: object) -> None:
        self.is_stopping = True

    def run(self, *, until: Callable[[], bool] = lambda: False, poll_s: float = 0.5) -> bool:
        """Supervises the children; returns True when `until` returned True, False when a signal came."""
        while not self.is_stopping:
            self.revive()
            if until():
                return True
            time.sleep(poll_s)
        return False

    def revive(self) -> None:
        """Restarts children that have ended; each child has its own growing pause."""
        now = time.monotonic()
        for child in self.children:
            if not child.has_ended():
                continue
            if not child.restart_at:
                steady = now - child.started_at > STEADY_AFTER_S
                child.crashes = 1 if steady else child.crashes + 1
                pause = BACKOFF_S[min(child.crashes, len(BACKOFF_S)) - 1]
                child.restart_at = now + pause
                self._say(f"{child.name} {child.describe_end()}; it is restarted in {pause:g} s.")
            elif now >= child.restart_at:
                child.restart_at = 0.0
                child.kill_session()
                child.start()

    def restart(self, name: str, *, because: str) -> None:
        """Ends a child that is alive but does not work, and starts it again."""
        for child in self.children:
            if child.name == name:
                self._say(f"{name}: {because}; restarting.")
                child.stop()
                child.start()

    def stop(self) -> None:
        """Ends all children, the last started first."""
        for child in reversed(self.children):
            child.stop()
