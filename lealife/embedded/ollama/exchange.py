"""One request and its answer: JSON at once, or a stream of lines."""

from __future__ import annotations

import json
import re
import select
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from lealife.core.urgency import Urgency

if TYPE_CHECKING:
    from .server import Handler

_URGENCY = re.compile(r"\s*u\s*=\s*([0-7])\s*")
_JSON = "application/json"
_JSON_UTF8 = "application/json; charset=utf-8"


class Exchange:
    """One request: its body, and the ways to answer it on its connection."""

    def __init__(self, *, handler: Handler, may_stream: bool) -> None:
        self.body: dict[str, Any] = {}
        self.begun = False
        self.media_type = _JSON_UTF8
        self._handler = handler
        self._may_stream = may_stream
        self._broken = False

    @property
    def is_streamed(self) -> bool:
        """Whether the client takes the answer line by line (Ollama's default)."""
        return self._may_stream and self.body.get("stream") is not False

    @property
    def urgency(self) -> int:
        """How soon the client wants the answer; the lowest number comes first."""
        return read_urgency(self._handler.headers.get("Priority", ""))

    @property
    def is_background(self) -> bool:
        """Whether all others come first."""
        return self.urgency == Urgency.BACKGROUND

    def detach(self) -> None:
        """From here on Ollama works in the background: it answers without naming a character set."""
        self.media_type = _JSON

    def close(self, status: int = 200) -> None:
        """Answer with a status and nothing else."""
        self._handler.send_nothing(HTTPStatus(status))

    def say(self, text: str) -> None:
        """Answer with a plain text."""
        self._handler.send(HTTPStatus.OK, "text/plain; charset=utf-8", text.encode())

    def emit(self, line: dict[str, Any]) -> None:
        """Send one line of a stream; nothing in an answer at once. A broken connection is not raised: see is_gone."""
        if not self.is_streamed or self._broken:
            return
        try:
            if not self.begun:
                self.begun = True
                self._handler.begin_stream()
            self._handler.write_chunk(write_json(line) + b"\n")
        except OSError:
            self._broken = True

    def answer(self, document: dict[str, Any]) -> None:
        """Send the last line of a stream, or the whole answer."""
        if not self.is_streamed:
            self.answer_at_once(document)
            return
        self.emit(document)
        self.end()

    def answer_at_once(self, document: dict[str, Any]) -> None:
        """Send the whole answer, even to a client that would take it line by line."""
        self._handler.send_document(HTTPStatus.OK, document, self.media_type)

    def end(self) -> None:
        """Close the stream, if one was begun."""
        if self.begun and not self._broken:
            self._handler.write_chunk(b"")

    def is_gone(self) -> bool:
        """Whether the client hung up, or the server is closing."""
        if self._broken or self._handler.ollama.closing.is_set():
            return True
        connection = self._handler.connection
        try:
            readable, _, _ = select.select([connection], [], [], 0)
            # Readable with nothing to read is the other side's end of stream.
            self._broken = bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            self._broken = True
        return self._broken


def read_urgency(priority: str) -> int:
    """The urgency in a `Priority` header of RFC 9218; the ordinary one when it names none."""
    named = [found for part in priority.split(",") if (found := _URGENCY.fullmatch(part))]
    return int(named[-1][1]) if named else Urgency.PERSON


def write_json(document: dict[str, Any]) -> bytes:
    """A document as Ollama writes it: without spaces."""
    return json.dumps(document, separators=(",", ":")).encode()
