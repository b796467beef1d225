"""Crash points: every SQL statement, round trip, COMMIT and external call of a process, and its death at one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import httpcore
import psycopg
from django.db import connection

from benchmarks.chaos.crowd import fork_process
from benchmarks.chaos.effects import EffectLog

T = TypeVar("T")


class CrashPoints:
    """Counts the points that this process meets, and kills it "before" or "after" the `at`-th.

    Only the main thread's: the lease keeper and the announcer have connections of their own, and die with it.
    """

    def __init__(self, *, at: int, when: str, log: EffectLog) -> None:
        self._at, self._when, self._log = at, when, log
        self._seen = 0
        self._thread = threading.get_ident()

    def arm(self) -> None:
        """Watches this process from here on, to its end."""
        connection.ensure_connection()
        connection.execute_wrappers.append(self._execute)
        commit = connection._commit
        connection._commit = lambda: self._meet("commit", "COMMIT", commit)
        leave = psycopg.Pipeline.__exit__

        def leave_pipeline(pipeline: psycopg.Pipeline, *error: Any) -> None:
            return self._meet("round trip", "the end of a pipeline", lambda: leave(pipeline, *error))

        # A statement in a pipeline is only queued when it is executed: what it did is done when the pipeline ends.
        psycopg.Pipeline.__exit__ = leave_pipeline  # type: ignore[method-assign]  a test kills at it
        call = httpcore.ConnectionPool.handle_request

        def handle_request(pool: httpcore.ConnectionPool, request: httpcore.Request) -> httpcore.Response:
            target = f"{request.method.decode()} {request.url.target.decode()}"
            return self._meet("call", target, lambda: call(pool, request))

        httpcore.ConnectionPool.handle_request = handle_request  # type: ignore[method-assign]  a test kills at it

    def _execute(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        return self._meet("statement", sql, lambda: execute(sql, params, many, context))

    def _meet(self, kind: str, what: str, work: Callable[[], T]) -> T:
        if threading.get_ident() != self._thread:
            return work()
        self._seen += 1
        is_it = self._seen == self._at
        if is_it and self._when == "before":
            self._die(kind, what)
        result = work()
        if is_it:
            self._die(kind, what)
        return result

    def _die(self, kind: str, what: str) -> None:
        self._log.append("crash", kind=kind, what=" ".join(what.split())[:80], at_point=self._at)
        os.kill(os.getpid(), signal.SIGKILL)


def survives(work: Callable[[], object], *, at: int, when: str, log: EffectLog) -> bool:
    """Whether a process that does `work` ends before its `at`-th crash point; else it has been killed there."""

    def job() -> None:
        CrashPoints(at=at, when=when, log=log).arm()
        work()

    _, status = os.waitpid(fork_process(job), 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.waitstatus_to_exitcode(status) == 0, "the process broke instead of being killed"
    return True
