"""The socket of a live page."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import replace
from importlib import import_module
from typing import Any

from channels.auth import get_user
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user_model

from lealife.core.actors import Actor, read_user
from lealife.core.errors import NotFound
from lealife.dashboard.live.mailbox import Mailbox, write_message
from lealife.dashboard.live.publisher import publisher

REFUSED, NO_SUCH_PAGE, NOT_UNDERSTOOD = 4403, 4404, 4400
# The client is asked for an acknowledgement after this many messages. Without one it gets at most twice as many;
# further changes are merged in its mailbox, so that unread messages do not fill the process's memory.
ACK_EVERY = 16
# An acknowledgement is no longer than this.
ACK_LENGTH = 64
# How long a user who is no longer staff keeps an open socket, and one who lost a permission sees its buttons.
RECHECK_S = 60.0
Session = import_module(settings.SESSION_ENGINE).SessionStore


class LiveConsumer(AsyncJsonWebsocketConsumer):
    """Sends the changes of one page. The client starts, and starts again after a gap, with
    `{"page": "training", "have": {panel: fingerprint}}`. After reading a message with `"ack": true` it answers
    `{"ack": sequence}`.
    """

    page = ""
    mailbox: Mailbox | None = None
    sender: asyncio.Task[None] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.unread: list[int] = []  # sequences that the client was asked to acknowledge
        self.acknowledged = asyncio.Event()
        self.reader = Actor("")  # their rights alone: readers with the same rights share what is written

    async def connect(self) -> None:
        """Accepts staff; closes all other sockets with code 4403."""
        await self.accept()
        if not await self._read_reader():
            await self.close(code=REFUSED)

    async def disconnect(self, code: int) -> None:
        """Unsubscribes from the publisher."""
        await self._leave()

    async def dispatch(self, message: Any) -> None:
        """Handles acknowledgements at once. Other messages first clean up database connections in another thread, which
        would cost too much for hundreds of acknowledgements a second.
        """
        text = message.get("text") or ""
        if self.mailbox is not None and text and len(text) <= ACK_LENGTH:
            content = await self.decode_json(text)
            if isinstance(content, dict) and isinstance(content.get("ack"), int):
                self._acknowledge(content["ack"])
                return
        await super().dispatch(message)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Watches the page that the client names and sends what it lacks."""
        page, have = (content.get("page"), content.get("have")) if isinstance(content, dict) else (None, None)
        if not isinstance(page, str) or not isinstance(have, dict):
            await self.close(code=NOT_UNDERSTOOD)
            return
        if not await self._read_reader():
            await self.close(code=REFUSED)
            return
        # Watch first, then look: a change in between is then in the mailbox, not lost.
        await self._leave()
        self.page, self.mailbox = page, publisher.subscribe(page)
        try:
            snapshot = await database_sync_to_async(publisher.read_snapshot)(page)
        except NotFound:
            await self.close(code=NO_SUCH_PAGE)
            return
        self.mailbox.put(await database_sync_to_async(publisher.build_push)(snapshot, have=have))
        self.sender = asyncio.create_task(self._send_all(self.mailbox))

    @classmethod
    async def decode_json(cls, text_data: str) -> Any:
        """Input that is not JSON is handled like any other invalid message."""
        try:
            return await super().decode_json(text_data)
        except ValueError:
            return None

    async def _send_all(self, mailbox: Mailbox) -> None:
        checked_at = time.monotonic()
        for number in itertools.count(1):
            while len(self.unread) >= 2:
                await self.acknowledged.wait()
                self.acknowledged.clear()
            message = await mailbox.take()
            if time.monotonic() - checked_at > RECHECK_S:
                checked_at = time.monotonic()
                if not await self._read_reader():
                    await self.close(code=REFUSED)
                    return
            ack = number % ACK_EVERY == 0
            if ack:
                self.unread.append(message.sequence)
            await self.send(text_data=write_message(message, ack=ack, reader=self.reader))

    def _acknowledge(self, sequence: int) -> None:
        self.unread = [asked for asked in self.unread if asked > sequence]
        self.acknowledged.set()

    async def _leave(self) -> None:
        self.unread = []
        if self.sender is not None:
            self.sender.cancel()
            # It may have ended by itself: what it was sending came too late for a socket that has closed.
            await asyncio.gather(self.sender, return_exceptions=True)
            self.sender = None
        if self.mailbox is not None:
            publisher.unsubscribe(self.page, self.mailbox)
            self.mailbox = None

    async def _read_reader(self) -> bool:
        """Reads who is signed in, and what they may do; False when they are not staff."""
        user, session = self.scope.get("user"), self.scope.get("session")
        if session is not None:
            # Read the session again: it is gone when the user signed out or their password was changed.
            user = await get_user({"session": Session(session.session_key)})
        if user is None or not user.is_authenticated:
            return False
        user = await get_user_model().objects.filter(pk=user.pk, is_active=True, is_staff=True).afirst()
        if user is None:
            return False
        self.reader = replace(await database_sync_to_async(read_user)(user), name="")
        return True
