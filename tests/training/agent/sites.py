"""Stub websites on loopback, and a scripted model for tests that are not about the model."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from training.agent.brain import Brain, Recalled
from training.agent.errors import AgentError
from training.agent.model import Reply
from training.agent.task import Site, SuccessCheck, Task

HTML = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Stub:
    """One answer of a stub site; `send` writes the body itself when given. No Content-Type when that is None.

    Who holds the version that `etag` names gets status 304 instead.
    """

    body: bytes = b""
    status: int = 200
    media_type: str | None = HTML
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = field(default_factory=dict)
    send: Callable[[BaseHTTPRequestHandler], None] | None = None
    etag: str = ""


@dataclass
class StubSite:
    """A running stub: its address, as the agent's site, and every path asked for."""

    url: str
    asked: list[str] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    cookies: list[str] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)

    def site(self, **changes: Any) -> Site:
        return Site(**{"name": "stub", "base_url": self.url, "may_be_private": True, **changes})


@contextmanager
def serve(pages: Mapping[str, Stub | bytes | Callable[[], Stub]]) -> Iterator[StubSite]:
    """A site with these paths on a free port of loopback; everything else is 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            stub_site.asked.append(self.path)
            stub_site.agents.append(self.headers.get("User-Agent", ""))
            stub_site.cookies.append(self.headers.get("Cookie", ""))
            answer = pages.get(self.path, Stub(b"nothing here", status=404))
            answer = answer() if callable(answer) else answer
            stub = answer if isinstance(answer, Stub) else Stub(answer)
            if stub.etag:
                is_held = self.headers.get("If-None-Match") == stub.etag
                headers = {"ETag": stub.etag, "Last-Modified": "Mon, 30 Nov 2026 00:00:00 GMT"}
                stub = Stub(status=304, media_type=None, headers=headers) if is_held else replace(stub, headers=headers)
            stub_site.answered.append(stub.status)
            self.send_response(stub.status)
            if stub.media_type is not None:
                self.send_header("Content-Type", stub.media_type)
            for name, value in dict.items(stub.headers) if isinstance(stub.headers, dict) else stub.headers:
                self.send_header(name, value)
            if stub.send is None:
                self.send_header("Content-Length", str(len(stub.body)))
            self.end_headers()
            if stub.send is not None:
                stub.send(self)
            else:
                self.wfile.write(stub.body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stub_site = StubSite(f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield stub_site
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def packed(body: bytes) -> Stub:
    return Stub(gzip.compress(body), headers={"Content-Encoding": "gzip"})


@dataclass
class ScriptedModel:
    """Says the picks in order (then the last again); an AgentError in the script is raised."""

    picks: Sequence[str | AgentError] = ('{"pick": 1}',)
    answer: str | AgentError = "Roses are pruned in late winter."
    cut: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)

    def chat(self, *, tag: str, messages: Sequence[dict[str, str]], schema: Any, **options: int) -> Reply:
        count = sum(call["tag"] == tag for call in self.asked)
        self.asked.append({"tag": tag, "messages": messages, "schema": schema, **options})
        said = self.answer if tag == "writer" else self.picks[min(count, len(self.picks) - 1)]
        if isinstance(said, AgentError):
            raise said
        digest = f"digest-of-{tag}"
        return Reply(said, prompt_tokens=50, cached_tokens=20, completion_tokens=5, digest=digest, cut=self.cut)


def brain(*memories: Recalled, **changes: Any) -> Brain:
    values = {
        "controller_tag": "picker",
        "controller_digest": "digest-of-picker",
        "task_tag": "writer",
        "task_digest": "digest-of-writer",
        "memories": memories,
    }
    return Brain(**{**values, **changes})


def task(prompt: str, site: Site, **changes: Any) -> Task:
    values = {"prompt": prompt, "site": site, "check": SuccessCheck(), "pages_target": 1, "max_calls": 5}
    return Task(**{**values, **changes})


def remembered(url: str, text: str, *, item_id: int = 1, kind: str = "page", score: float = 1.0) -> Recalled:
    return Recalled(item_id=item_id, kind=kind, url=url, title="Remembered", text=text, score=score)


GARDEN = {
    "/": b"""<title>The garden</title><nav><a href="/trees.html">Trees</a> <a href="/roses.html#top">Roses</a>
        <a href="/tools/spade.html">Spades</a> <a href="https://elsewhere.example/">Elsewhere</a>
        <a href="mailto:a@b.example">Write</a> <a href="javascript:alert(1)">Run</a></nav>
        <p>A garden has many corners, and each corner has a page of its own here.</p>""",
    "/trees.html": b"<title>Trees</title><p>An old oak stands at the gate and has stood there for long.</p>",
    "/roses.html": b"""<title>Roses</title><p>Roses are pruned in late winter, before the buds begin to swell.</p>
        <p>Water them in the morning. <a href="/">Back</a></p>""",
    "/tools/spade.html": b"<title>Spades</title><p>The spade hangs in the shed, behind the green door.</p>",
}
