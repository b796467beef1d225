"""Readers of a live page as a load: sockets in a process of their own, some of which stop reading."""

from __future__ import annotations

import asyncio
import json
import re
import time
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection
from typing import Any

# The beginning of every message, before its fragments.
_HEAD = re.compile(rb'\{"sequence": (\d+), .*?"generated_at": "([^"]+)", "fingerprint": "([^"]+)", "ack": (true|false)')
_HEAD_LENGTH = 400
GREETING = json.dumps({"page": "training", "have": {}})
# A moment of the load is looked at so often.
SAMPLE_S = 0.01


@dataclass(slots=True)
class Reader:
    """One socket: of each message when the page was built and when it came; the last one's fingerprint."""

    stalls: bool
    built: list[float] = field(default_factory=list)
    came: list[float] = field(default_factory=list)
    fingerprint: str = ""

    def find_delays(self, moments: list[float]) -> list[float]:
        """Seconds until each moment was shown; endless when it never was."""
        places = (bisect_left(self.built, moment) for moment in moments)
        return [
            self.came[place] - moment if place < len(self.came) else float("inf")
            for place, moment in zip(places, moments, strict=True)
        ]


def run_readers(url: str, headers: dict[str, str], count: int, stalled: int, pipe: Connection) -> None:
    """Opens `count` sockets, `stalled` of which read nothing while the load runs; obeys the pipe until it says `end`.

    Answers `ready` once all are open. `settle` has the stalled ones read too, then answers each reader's last
    fingerprint and the delays, in seconds, of the load's moments (`(since, until)` comes with it).
    """
    asyncio.run(_play(url, headers, count, stalled, pipe))


async def _play(url: str, headers: dict[str, str], count: int, stalled: int, pipe: Connection) -> None:
    readers = [Reader(stalls=number < stalled) for number in range(count)]
    go_on, opened = asyncio.Event(), asyncio.Semaphore(0)
    gate = asyncio.Semaphore(20)
    tasks = [asyncio.create_task(_read(reader, url, headers, gate, opened, go_on)) for reader in readers]
    for _ in readers:
        await asyncio.wait_for(opened.acquire(), timeout=120)
    pipe.send("ready")
    since, until, final = await asyncio.to_thread(pipe.recv)
    go_on.set()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(reader.fingerprint != final for reader in readers):
        await asyncio.sleep(0.05)
    moments = [since + place * SAMPLE_S for place in range(int((until - since) / SAMPLE_S))]
    delays = [delay for reader in readers if not reader.stalls for delay in reader.find_delays(moments)]
    pipe.send((sum(reader.fingerprint != final for reader in readers), sorted(delays), _count(readers)))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _count(readers: list[Reader]) -> int:
    return sum(len(reader.came) for reader in readers)


async def _read(
    reader: Reader,
    url: str,
    headers: dict[str, str],
    gate: asyncio.Semaphore,
    opened: asyncio.Semaphore,
    go_on: asyncio.Event,
) -> None:
    # A development requirement, which only this benchmark needs.
    from websockets.asyncio.client import connect

    options: dict[str, Any] = {"compression": None, "max_size": None, "max_queue": 1, "ping_interval": None}
    async with gate:
        socket = await connect(url, additional_headers=headers, open_timeout=60, **options)
        await socket.send(GREETING)
        _note(reader, await socket.recv(decode=False))
    opened.release()
    if reader.stalls:
        await go_on.wait()
    while True:
        # As bytes: only the beginning is looked at, and the rest would be decoded for nothing.
        ack = _note(reader, await socket.recv(decode=False))
        if ack is not None:
            await socket.send(json.dumps({"ack": ack}))


def _note(reader: Reader, message: bytes) -> int | None:
    head = _HEAD.match(message[:_HEAD_LENGTH])
    if head is None:
        raise ValueError(f"not a message of the page: {message[:80]!r}")
    reader.built.append(datetime.fromisoformat(head[2].decode()).timestamp())
    reader.came.append(time.time())
    reader.fingerprint = head[3].decode()
    return int(head[1]) if head[4] == b"true" else None
