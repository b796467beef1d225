"""The effect log: what really happened outside of Postgres, one JSON line an event, only ever appended."""

from __future__ import annotations

import itertools
import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """One request as a stub server saw it. Times are seconds since 1970; `ended` is infinite when it never did.

    `host`: the address asked. `peer`: the asking connection. `mark`: whose request it is, where it tells.
    """

    server: str
    host: str
    method: str
    path: str
    peer: str
    mark: str
    began: float
    ended: float


class EffectLog:
    """A file that any number of processes and threads append to; a line is written whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._numbers = itertools.count(1)

    def append(self, event: str, **facts: Any) -> None:
        """Adds one event with the wall clock and the monotonic clock, in seconds."""
        line = json.dumps({"event": event, "at": time.time(), "monotonic": time.monotonic(), **facts})
        os.write(self._descriptor, f"{line}\n".encode())

    @contextmanager
    def request(self, **facts: Any) -> Iterator[None]:
        """The beginning and the end of one request, the end also when its answer could not be sent."""
        key = f"{os.getpid()}/{next(self._numbers)}"
        self.append("begin", request=key, **facts)
        try:
            yield
        finally:
            self.append("end", request=key)

    def read_events(self, event: str) -> list[dict[str, Any]]:
        """All events of one name, in the order written."""
        return [entry for entry in self._read() if entry["event"] == event]

    def read_requests(self, *, server: str = "") -> list[Request]:
        """All requests in the order they began; those to one server when it is named."""
        begun, ends = [], {}
        for entry in self._read():
            if entry["event"] == "begin":
                begun.append(entry)
            elif entry["event"] == "end":
                ends[entry["request"]] = entry["at"]
        return [
            Request(
                **{name: entry[name] for name in ("server", "host", "method", "path", "peer", "mark")},
                began=entry["at"],
                ended=ends.get(entry["request"], math.inf),
            )
            for entry in begun
            if server in ("", entry["server"])
        ]

    def _read(self) -> Iterator[dict[str, Any]]:
        with self.path.open() as lines:
            for line in lines:
                yield json.loads(line)
