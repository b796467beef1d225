"""A scripted Ollama: real HTTP on loopback, tags with digests, and a `mood` that says what its chats do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lealife.core.digest import digest_value

BASE = "smollm2:135m"
CRASHED = "llama runner process has terminated: signal: killed"
# Moods in which a chat gives no answer, with the status and the body that a real Ollama sends.
REFUSALS = {
    "refuses": (404, {"error": "model 'lealife' not found"}),
    "crashes": (500, {"error": CRASHED}),
    "is busy": (503, {"error": "server busy, please try again. maximum pending requests exceeded"}),
    "is limited": (429, {"error": "too many requests"}),
    "is behind a broken proxy": (502, {"error": "bad gateway"}),
    "waits behind a proxy": (504, {"error": "gateway timeout"}),
}


@dataclass
class Scripted:
    """The server's state; a test sets `mood`, `says` and `tags` while it runs."""

    address: str = ""
    mood: str = "well"
    says: dict[str, Any] = field(default_factory=dict)  # besides the usual answer, or instead of parts of it
    body: tuple[int, bytes] = (200, b"")  # what it sends when its mood is "says this"
    waits_s: float = 0.0
    encoding: str = ""
    logins: list[str | None] = field(default_factory=list)
    priorities: list[str | None] = field(default_factory=list)
    skills: tuple[str, ...] = ("completion",)
    tags: dict[str, str] = field(default_factory=lambda: {BASE: "base"})
    held: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def chats(self) -> list[dict[str, Any]]:
        """Chats with a question; one without only loads the model."""
        return [body for path, body in self.asked if path == "/api/chat" and body["messages"]]

    @property
    def chat_priorities(self) -> list[str | None]:
        """The `Priority` header of each chat."""
        sent = zip(self.asked, self.priorities, strict=True)
        return [priority for (path, _), priority in sent if path == "/api/chat"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.answer({})

    def do_POST(self) -> None:
        self.answer(json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}"))

    do_DELETE = do_POST

    def answer(self, body: dict[str, Any]) -> None:
        state = self.server.state
        state.asked.append((self.path, body))
        state.logins.append(self.headers.get("Authorization"))
        state.priorities.append(self.headers.get("Priority"))
        if state.mood == "hangs":
            state.closing.wait(30)
            self.close_connection = True
            return
        route = getattr(self, "on_" + self.path.rpartition("/")[2], None)
        status, document = route(body) if route else (404, {"error": "404 page not found"})
        if document is not None:
            self.send(status, json.dumps(document).encode())

    def send(self, status: int, content: bytes) -> None:
        with suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if self.server.state.encoding:
                self.send_header("Content-Encoding", self.server.state.encoding)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def on_tags(self, body: dict[str, Any]) -> tuple[int, Any]:
        return 200, {
            "models": [
                {"name": name, "model": name, "digest": digest, "size": 1, "modified_at": "2026-01-01T00:00:00Z"}
                for name, digest in self.server.state.tags.items()
            ]
        }

    def on_show(self, body: dict[str, Any]) -> tuple[int, Any]:
        state = self.server.state
        if body["model"] not in state.tags:
            return 404, {"error": f"model '{body['model']}' not found"}
        return 200, {"modelfile": "", "capabilities": list(state.skills), **state.held.get(body["model"], {})}

    def on_create(self, body: dict[str, Any]) -> tuple[int, Any]:
        recipe = {name: value for name, value in body.items() if name not in ("model", "stream")}
        self.server.state.tags[body["model"]] = digest_value(recipe)
        return 200, {"status": "success"}

    def on_delete(self, body: dict[str, Any]) -> tuple[int, Any]:
        self.server.state.tags.pop(body["model"], None)
        return 200, {}

    def on_chat(self, body: dict[str, Any]) -> tuple[int, Any]:
        state = self.server.state
        state.closing.wait(state.waits_s)
        if state.mood in REFUSALS:
            return REFUSALS[state.mood]
        if state.mood == "says this":
            self.send(*state.body)
            return 200, None
        if state.mood == "drips":
            self.drip()
            return 200, None
        if state.mood == "never ends":
            self.send_flood()
            return 200, None
        if not body["messages"]:
            return 200, {**_say(body, ""), "done_reason": "load"}
        if state.mood == "only thinks" or (state.mood == "thinks" and body.get("think") is not False):
            thought = {"role": "assistant", "content": "", "thinking": "Let me look at the links. " * 3}
            return 200, {**_say(body, ""), "message": thought, "done_reason": "length"}
        if state.mood == "breaks off":
            self.send(200, json.dumps(_say(body, "It is"))[:40].encode())
            return 200, None
        picks = ((body.get("format") or {}).get("properties") or {}).get("pick", {}).get("enum")
        said = _say(body, json.dumps({"pick": picks[0]}) if picks else "Roses are pruned in late winter.")
        return 200, {**said, **state.says}

    def drip(self) -> None:
        with suppress(OSError):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
            while not self.server.state.closing.wait(0.1) and self.server.state.mood == "drips":
                self.wfile.write(b" ")
        self.close_connection = True

    def send_flood(self) -> None:
        with suppress(OSError):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n")
            for _ in range(1000):
                self.wfile.write(b"x" * 100_000)
        self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, state: Scripted) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.state = state

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is part of the script."""


def _say(body: dict[str, Any], text: str) -> dict[str, Any]:
    return {
        "model": body["model"],
        "created_at": "2026-01-01T00:00:00Z",
        "message": {"role": "assistant", "content": text},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 20,
        "eval_count": 5,
    }


@contextmanager
def run_scripted(**state: Any) -> Iterator[Scripted]:
    """Serves a scripted Ollama from a thread."""
    scripted = Scripted(**state)
    server = _Server(scripted)
    scripted.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield scripted
    finally:
        scripted.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
