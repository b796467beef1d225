"""Announcements: "something changed", sent after commit to every listening process.

NOTIFY locks the whole server at commit, so it is never sent inside a working transaction: a separate thread sends
it on its own connection, at most ten times a second per topic. A lost announcement only costs time, because every
listener also polls at its tick.
"""

from __future__ import annotations

import logging
import os
import threading
import time

import psycopg
from django.db import connection, transaction

CHANNEL = "lealife"
INTERVAL_S = 0.1
log = logging.getLogger(__name__)


class Announcer:
    """Sends coalesced NOTIFYs from one background thread per process."""

    def __init__(self) -> None:
        self._topics: set[str] = set()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._pid = 0

    def add(self, topic: str) -> None:
        """Queues a topic; returns at once."""
        thread = self._thread
        if topic in self._topics and self._pid == os.getpid() and thread is not None and thread.is_alive():
            # Already queued: its listeners will read the state of that moment, which includes this change.
            return
        with self._wake:
            self._topics.add(topic)
            # A forked worker inherits the object but not the thread.
            if self._thread is None or self._pid != os.getpid() or not self._thread.is_alive():
                self._pid = os.getpid()
                self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)
                self._thread.start()
            self._wake.notify()

    def stop(self) -> None:
        """Ends the thread and closes its connection; the next topic starts another."""
        with self._wake:
            thread, self._thread = self._thread, None
            self._wake.notify()
        if thread is not None and self._pid == os.getpid():
            thread.join(timeout=5)

    def _run(self) -> None:
        sender: psycopg.Connection | None = None
        while True:
            with self._wake:
                while not self._topics and self._thread is threading.current_thread():
                    self._wake.wait()
                if self._thread is not threading.current_thread():
                    break
                topics, self._topics = self._topics, set()
            try:
                if sender is None or sender.closed:
                    sender = open_connection()
                for topic in sorted(topics):
                    sender.execute("SELECT pg_notify(%s, %s)", (CHANNEL, topic))
            except psycopg.Error as error:
                log.warning("announcement lost, listeners will poll: %s", error)
                if sender is not None:
                    sender.close()
                sender = None
            time.sleep(INTERVAL_S)
        if sender is not None:
            sender.close()


_announcer = Announcer()


def announce(topic: str) -> None:
    """Notifies every listening process, after the current transaction commits, that `topic` changed."""
    transaction.on_commit(lambda: _announcer.add(topic))


def stop_announcing() -> None:
    """Closes the announcer's connection; announcing again opens another."""
    _announcer.stop()


def open_connection() -> psycopg.Connection:
    """A psycopg connection of its own (autocommit) to the default database."""
    parameters = connection.get_connection_params()
    parameters.pop("cursor_factory", None)
    parameters.pop("context", None)
    return psycopg.connect(**parameters, autocommit=True)


class Listener:
    """Waits for announcements on a connection of its own; reconnects by itself."""

    def __init__(self) -> None:
        self._connection: psycopg.Connection | None = None

    def wait(self, *, timeout_s: float, wanted: frozenset[str] | None = None) -> set[str]:
        """Topics received within `timeout_s` seconds (0: those so far); empty on timeout or without Postgres.

        Returns at the first topic in `wanted` (None: any). Sleeps one second at most when it cannot connect.
        """
        ends = time.monotonic() + timeout_s
        try:
            if self._connection is None or self._connection.closed:
                self._connection = open_connection()
                self._connection.execute(f"LISTEN {CHANNEL}")
            while True:
                left = max(0.0, ends - time.monotonic())
                heard = {note.payload for note in self._connection.notifies(timeout=left, stop_after=1)}
                if heard and (wanted is None or heard & wanted):
                    return heard
                if not left:
                    return set()
        except psycopg.Error:
            self.close()
            time.sleep(max(0.0, min(1.0, ends - time.monotonic())))
        return set()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
