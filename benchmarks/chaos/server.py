"""Stub servers: real HTTP on loopback, several addresses each, every request in the effect log."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from benchmarks.chaos.effects import EffectLog

LOOPBACK = "127.0.0.1"
ORPHANED_EVERY_S = 0.5
# How soon a server that is told to stop does; hundreds of them must not keep a processor busy with looking.
POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: `host` is the address it came to, `http://127.0.0.1:port/`."""

    host: str
    method: str
    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class StubReply:
    """What is sent back."""

    body: bytes
    status: int = 200
    media_type: str = "text/html; charset=utf-8"


Respond = Callable[[Asked], StubReply]


class StubServer:
    """A server with one port for each of its hosts; `respond` decides the answers, `mark` reads whose they are."""

    def __init__(
        self, *, name: str, log: EffectLog, respond: Respond, mark: Callable[[Asked], str], hosts: int = 1
    ) -> None:
        self._doors = [_Door(name=name, log=log, respond=respond, mark=mark) for _ in range(hosts)]
        self._threads: list[threading.Thread] = []

    @property
    def addresses(self) -> list[str]:
        """One base address a host."""
        return [door.address for door in self._doors]

    def start(self) -> None:
        """Serves from threads of this process."""
        for door in self._doors:
            thread = threading.Thread(target=door.serve_forever, kwargs={"poll_interval": POLL_S}, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Ends what `start` began, and gives the ports back."""
        for door in self._doors:
            if self._threads:
                door.shutdown()
            door.server_close()
        for thread in self._threads:
            thread.join(timeout=5)

    def serve(self) -> None:
        """Serves until the parent process is gone: the whole work of a process of its own."""
        parent = os.getppid()
        self.start()
        while os.getppid() == parent:
            time.sleep(ORPHANED_EVERY_S)


class _Door(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, *, name: str, log: EffectLog, respond: Respond, mark: Callable[[Asked], str]) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.address = f"http://{LOOPBACK}:{self.server_port}/"
        self.name, self.log, self.respond, self.mark = name, log, respond, mark
        self.peers = itertools.count(1)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed in mid-request is what these servers are there for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body leave in one packet: two would wait for the client's delayed acknowledgement.
    wbufsize = 65_536
    disable_nagle_algorithm = True
    server: _Door

    def setup(self) -> None:
        super().setup()
        # A number of our own: the port that a connection came from is soon used by another.
        self.peer = f"{self.server.server_port}/{next(self.server.peers)}"

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        asked = Asked(self.server.address, self.command, self.path, self.rfile.read(length) if length else b"")
        facts = {"server": self.server.name, "host": asked.host, "method": asked.method, "path": asked.path}
        with self.server.log.request(**facts, peer=self.peer, mark=self.server.mark(asked)):
            given = self.server.respond(asked)
            self.send_response(given.status)
            self.send_header("Content-Type", given.media_type)
            self.send_header("Content-Length", str(len(given.body)))
            self.end_headers()
            self.wfile.write(given.body)
        # The end is in the log before the client can have the answer, and ask again.
        self.wfile.flush()

    do_GET = do_HEAD = do_POST = do_DELETE = answer

    def log_message(self, format: str, *args: Any) -> None:
        """The effect log says it."""
