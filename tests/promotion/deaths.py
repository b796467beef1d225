"""Deaths without a process: what a kill leaves behind, at a hundredth of its cost.

Before the n-th SQL statement, COMMIT, round trip or external call an exception that nothing catches is raised; from
then on the dead one reaches neither Postgres nor a server, and its connection is cut.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from unittest import mock

import httpcore
import psycopg
from django.db import connection

T = TypeVar("T")


class Death(BaseException):
    """The process dies here."""


@dataclass
class Points:
    """The points met so far, and the one to die before; `died_at` is its kind."""

    at: int
    seen: int = 0
    died_at: str = ""
    died_before: str = ""

    def meet(self, kind: str, what: str, work: Callable[[], T]) -> T:
        """Does `work`, unless this is the point, or has been."""
        self.seen += 1
        if self.seen == self.at:
            self.died_at, self.died_before = kind, " ".join(what.split())[:80]
        if self.died_at:
            raise Death(self.died_before)
        return work()


def dies(work: Callable[[], object], *, at: int) -> Points:
    """Does `work` until its `at`-th point; `died_at` is empty when it came to its end before."""
    points = Points(at)
    try:
        with _watch(points):
            work()
    except BaseException:
        # Whatever was made of it on the way up, it is the same death.
        if not points.died_at:
            raise
    if points.died_at:
        # Postgres takes back what was not committed, and lets go of every lock.
        if connection.connection is not None:
            connection.connection.close()
        connection.connection = None
        connection.connect()
    return points


@contextmanager
def _watch(points: Points) -> Iterator[None]:
    """Only the main thread's points: the lease keeper and the announcer have connections of their own."""
    thread, commit = threading.get_ident(), connection._commit
    leave, call = psycopg.Pipeline.__exit__, httpcore.ConnectionPool.handle_request

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        return points.meet("statement", sql, lambda: run(sql, params, many, context))

    def leave_pipeline(pipeline: psycopg.Pipeline, *error: Any) -> None:
        if threading.get_ident() != thread or error[0] is not None:
            return leave(pipeline, *error)
        return points.meet("round trip", "the end of a pipeline", lambda: leave(pipeline, *error))

    def handle_request(pool: httpcore.ConnectionPool, request: httpcore.Request) -> httpcore.Response:
        if threading.get_ident() != thread:
            return call(pool, request)
        what = f"{request.method.decode()} {request.url.target.decode()}"
        return points.meet("call", what, lambda: call(pool, request))

    with (
        connection.execute_wrapper(execute),
        mock.patch.object(connection, "_commit", lambda: points.meet("commit", "COMMIT", commit)),
        mock.patch.object(psycopg.Pipeline, "__exit__", leave_pipeline),
        mock.patch.object(httpcore.ConnectionPool, "handle_request", handle_request),
    ):
        yield
