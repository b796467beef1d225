"""Manuals that Debian's packages install, served on loopback, and natural questions about them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from benchmarks.measurement import DoesNotHold

FOLDER = Path(__file__).parent / "questions"
SITES = ("python", "git", "sqlite")


@dataclass(frozen=True, slots=True)
class Question:
    """A natural question with the pages and the texts that answer it; none when the site does not answer it."""

    prompt: str
    pages: frozenset[str]
    texts: tuple[str, ...]

    @property
    def is_answerable(self) -> bool:
        """Whether the site answers it."""
        return bool(self.pages)


@dataclass(frozen=True, slots=True)
class Manual:
    """A manual on this machine, and the questions about it."""

    name: str
    root: Path
    start: str
    questions: tuple[Question, ...]


def read_manual(name: str) -> Manual:
    """The manual of a development set. Raises DoesNotHold when its Debian package is not installed."""
    data = json.loads((FOLDER / f"{name}.json").read_text())
    root = Path(data["root"])
    if not (root / data["start"]).exists():
        raise DoesNotHold(f"{root} is not there: install Debian's package {data['debian_package']}.")
    questions = tuple(
        Question(each["prompt"], frozenset(each["expect_urls"]), tuple(each["expect_text"]))
        for each in data["questions"]
    )
    return Manual(name, root, data["start"], questions)


@contextmanager
def serve(root: Path) -> Iterator[str]:
    """Serves a folder on loopback; yields its address."""

    class Quiet(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """A benchmark's own site keeps no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
