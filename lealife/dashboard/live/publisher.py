"""The publisher: one listener per web process and one rebuild for all sockets; only changes are sent."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from contextlib import suppress

from django.db import Error as DatabaseFailure
from django.db import close_old_connections, connection
from django.urls import get_script_prefix, set_script_prefix
from django.utils import timezone

from lealife.core.actors import Actor
from lealife.core.announce import Listener
from lealife.core.errors import NotFound
from lealife.dashboard.live.mailbox import Fragment, Mailbox, Push
from lealife.dashboard.live.snapshot import TTL_S, Snapshot, render_fragments, take_snapshot
from lealife.dashboard.offers import cut_offers

# A burst of announcements causes one rebuild; there are at most four rebuilds a second.
REBUILD_EVERY_S = 0.25
LISTEN_S = 0.5
log = logging.getLogger(__name__)


class Publisher:
    """Rebuilds pages that have open sockets, and puts the changes into the sockets' mailboxes.

    Its thread, with its own database and LISTEN connections, runs only while there are subscribers.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mailboxes: dict[str, set[Mailbox]] = {}
        self._latest: dict[str, tuple[float, Snapshot]] = {}
        self._sequence = itertools.count(1)
        self._thread: threading.Thread | None = None

    def subscribe(self, key: str) -> Mailbox:
        """A mailbox that gets every change of page `key` from now on. Call it in the socket's event loop."""
        mailbox = Mailbox(asyncio.get_running_loop())
        with self._lock:
            self._mailboxes.setdefault(key, set()).add(mailbox)
            if self._thread is None or not self._thread.is_alive():
                # Fragments link to addresses below the subpath, which the subscriber's thread knows.
                self._thread = threading.Thread(
                    target=self._run, args=(get_script_prefix(),), name="publisher", daemon=True
                )
                self._thread.start()
        return mailbox

    def unsubscribe(self, key: str, mailbox: Mailbox) -> None:
        """Removes the mailbox; after the last one the thread ends."""
        with self._lock:
            watching = self._mailboxes.get(key, set())
            watching.discard(mailbox)
            if not watching:
                self._mailboxes.pop(key, None)

    def read_snapshot(self, key: str) -> Snapshot:
        """The page, at most `TTL_S` old. Raises NotFound for an unknown key."""
        with self._lock:
            built_at, snapshot = self._latest.get(key, (float("-inf"), None))
        if snapshot is not None and time.monotonic() - built_at <= TTL_S:
            return snapshot
        return self._build(key)

    def build_push(self, snapshot: Snapshot, *, have: dict[str, str]) -> Push:
        """A push with the fragments that a client with the fingerprints `have` still needs."""
        lacking = snapshot.changed_since(have)
        return Push(
            sequence=next(self._sequence),
            generated_at=snapshot.generated_at,
            fingerprint=snapshot.fingerprint,
            fragments=make_fragments(snapshot, lacking),
            held={name: value for name, value in snapshot.fingerprints.items() if name not in lacking},
        )

    def _build(self, key: str) -> Snapshot:
        snapshot = take_snapshot(key, now=timezone.now())
        now = time.monotonic()
        with self._lock:
            known = self._latest.get(key)
            if known is not None and known[1].generated_at > snapshot.generated_at:
                # Another thread began later and was done sooner.
                return known[1]
            # Drop pages without recent requests; otherwise every run's page would keep an entry for ever.
            fresh = {name: entry for name, entry in self._latest.items() if now - entry[0] <= TTL_S}
            self._latest = {**fresh, key: (now, snapshot)}
        return snapshot

    def _run(self, prefix: str) -> None:
        set_script_prefix(prefix)
        listener = Listener()
        sent: dict[str, Snapshot] = {}
        rebuilt_at = answered_at = float("-inf")
        try:
            while keys := self._read_keys():
                heard = listener.wait(timeout_s=LISTEN_S)
                if not heard and time.monotonic() - rebuilt_at < TTL_S:
                    continue
                if heard:
                    # The first after a quiet time is answered at once; only a burst waits.
                    time.sleep(max(0.0, REBUILD_EVERY_S - (time.monotonic() - answered_at)))
                    # What was announced meanwhile is in the rebuild that begins now.
                    listener.wait(timeout_s=0)
                    answered_at = time.monotonic()
                rebuilt_at = time.monotonic()
                sent = {key: snapshot for key in keys if (snapshot := self._publish(key, sent.get(key)))}
        finally:
            listener.close()
            connection.close()

    def _read_keys(self) -> list[str]:
        with self._lock:
            keys = list(self._mailboxes)
            if not keys:
                # Under the lock: a subscriber that comes now starts another thread.
                self._thread = None
            return keys

    def _publish(self, key: str, before: Snapshot | None) -> Snapshot | None:
        close_old_connections()
        try:
            snapshot = self._build(key)
            push = Push(
                sequence=next(self._sequence),
                generated_at=snapshot.generated_at,
                fingerprint=snapshot.fingerprint,
                fragments=make_fragments(snapshot, snapshot.changed_since(before.fingerprints if before else {})),
            )
        except DatabaseFailure as error:
            # The watchers notice by themselves: without a push their page says since when it is stale.
            log.warning("page %s cannot be rebuilt: %s", key, error)
            return before
        except NotFound:
            return None
        except Exception:
            # One page that breaks must not end the others.
            log.exception("page %s cannot be built", key)
            return before
        by_loop: dict[asyncio.AbstractEventLoop, list[Mailbox]] = {}
        with self._lock:
            for mailbox in self._mailboxes.get(key, ()):
                by_loop.setdefault(mailbox.loop, []).append(mailbox)
        for loop, mailboxes in by_loop.items():
            # A loop that closed meanwhile takes its sockets with it. It is woken once, not once a socket.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(put_all, mailboxes, push)
        return snapshot


def put_all(mailboxes: list[Mailbox], push: Push) -> None:
    """Puts a push into every mailbox; in their loop."""
    for mailbox in mailboxes:
        mailbox.put(push)


def make_fragments(snapshot: Snapshot, names: list[str]) -> dict[str, Fragment]:
    """Fragments as the sockets are sent them."""
    return {
        name: Fragment(name=name, fingerprint=snapshot.fingerprints[name], html=html)
        for name, html in render_fragments(snapshot, names).items()
    }


def dump_fragments(snapshot: Snapshot, names: list[str], *, reader: Actor) -> dict[str, dict[str, str]]:
    """Fragments as the reader's browser gets them when it polls."""
    return {
        name: {"fingerprint": snapshot.fingerprints[name], "html": cut_offers(html, reader=reader)}
        for name, html in render_fragments(snapshot, names).items()
    }


publisher = Publisher()
