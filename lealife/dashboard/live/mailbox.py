"""Mailboxes: the newest fragment of each panel that one socket has not been sent yet."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from lealife.core.actors import Actor
from lealife.dashboard.offers import cut_offers


@dataclass(frozen=True, slots=True, eq=False)
class Fragment:
    """A panel's HTML, with marks around parts that need a permission. All sockets share it; compared by identity."""

    name: str
    fingerprint: str
    html: str


@dataclass(frozen=True, slots=True)
class Push:
    """Fragments of one page at one moment; `held` are the fingerprints that the client already has."""

    sequence: int
    generated_at: datetime
    fingerprint: str
    fragments: dict[str, Fragment]  # by panel
    held: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """A message to one socket; `since` is the sequence of the previous message, so that a client notices a gap."""

    sequence: int
    since: int | None
    generated_at: datetime
    fingerprint: str
    fragments: tuple[Fragment, ...]


@lru_cache(maxsize=64)
def write_message(message: Message, *, ack: bool, reader: Actor) -> str:
    """As JSON with what the reader may see; `ack` asks the client for an acknowledgement.

    It is written once for all up-to-date sockets of readers with the same rights.
    """
    head = {
        "sequence": message.sequence,
        "since": message.since,
        "generated_at": message.generated_at.isoformat(),
        "fingerprint": message.fingerprint,
        "ack": ack,
    }
    written = ",".join(_write_fragment(fragment, reader) for fragment in message.fragments)
    return f'{json.dumps(head)[:-1]}, "fragments": {{{written}}}}}'


@lru_cache(maxsize=256)
def _write_fragment(fragment: Fragment, reader: Actor) -> str:
    # In ASCII, which every socket encodes, and its browser decodes, several times as fast.
    dumped = json.dumps({"fingerprint": fragment.fingerprint, "html": cut_offers(fragment.html, reader=reader)})
    return f"{json.dumps(fragment.name)}:{dumped}"


class Mailbox:
    """Keeps the newest, merged by panel: a slow socket skips states in between but never a final one.

    Belongs to one event loop: `put` is called there (`call_soon_threadsafe`), `take` is awaited there.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waiting: dict[str, Fragment] = {}
        # What the client has once everything that waits is sent: by panel, since when and which fingerprint.
        self._known: dict[str, tuple[datetime, str]] = {}
        self._newest: Push | None = None
        self._sent: int | None = None
        self._filled = asyncio.Event()

    def put(self, push: Push) -> None:
        """Merges a push; drops fragments that the client already has in this or a newer state."""
        for name, fingerprint in push.held.items():
            if self._is_news(name, fingerprint, push.generated_at):
                self._known[name] = (push.generated_at, fingerprint)
        for name, fragment in push.fragments.items():
            if self._is_news(name, fragment.fingerprint, push.generated_at):
                self._waiting[name] = fragment
                self._known[name] = (push.generated_at, fragment.fingerprint)
        if self._newest is None or push.sequence > self._newest.sequence:
            self._newest = push
        self._filled.set()

    def _is_news(self, name: str, fingerprint: str, generated_at: datetime) -> bool:
        known = self._known.get(name)
        return known is None or (generated_at >= known[0] and fingerprint != known[1])

    async def take(self) -> Message:
        """Everything that waits as one message; waits until there is something."""
        await self._filled.wait()
        self._filled.clear()
        newest = self._newest
        if newest is None:  # `put` always names one before it fills
            raise RuntimeError("The mailbox was filled without a push.")
        fragments = tuple(self._waiting.values())
        message = Message(newest.sequence, self._sent, newest.generated_at, newest.fingerprint, fragments)
        self._waiting, self._sent = {}, newest.sequence
        return message
