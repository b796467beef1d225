"""The stub site: every host has the same index of bells, and a page for each bell that says when it rings."""

from __future__ import annotations

import re
import time

from benchmarks.chaos.effects import EffectLog
from benchmarks.chaos.server import Asked, StubReply, StubServer

NAME = "site"
BELLS = 40
_MARK = re.compile(r"Task \[([^\]]+)\]")
_BELL = re.compile(r"/bell-(\d+)\.html$")


def path_of(bell: int) -> str:
    """Where the page of a bell is, below its host's address."""
    return f"bell-{bell}.html"


def passage_of(bell: int) -> str:
    """What the page of a bell says, and no other."""
    return f"bell {bell} rings over the harbour at dusk"


def prompt_of(bell: int, *, mark: str) -> str:
    """A question that the page of a bell answers. `mark` tells in the model's log whose question it is."""
    return f"Task [{mark}]: which page says “{passage_of(bell)}”?"


def read_mark(text: str) -> str:
    """The mark in a prompt; empty when there is none."""
    found = _MARK.search(text)
    return found[1] if found else ""


def respond(asked: Asked) -> StubReply:
    """The index, a bell's page, or 404 (robots.txt too: everything is allowed)."""
    path = asked.path.partition("?")[0]
    if path == "/":
        return StubReply(_INDEX)
    found = _BELL.match(path)
    if found is None or int(found[1]) >= BELLS:
        return StubReply(b"nothing here", status=404, media_type="text/plain")
    return StubReply(_render_bell(int(found[1])))


def open_site(*, hosts: int, log: EffectLog, takes_s: float = 0.0) -> StubServer:
    """The site on so many ports, not serving yet; each answer takes `takes_s` seconds."""

    def take_time(asked: Asked) -> StubReply:
        time.sleep(takes_s)
        return respond(asked)

    return StubServer(name=NAME, log=log, respond=take_time, mark=_read_query, hosts=hosts)


def _read_query(asked: Asked) -> str:
    return asked.path.partition("?")[2]


def _render_bell(bell: int) -> bytes:
    return (
        f"<title>Bell {bell}</title><h1>Bell {bell}</h1>"
        f"<p>Sailors know that {passage_of(bell)}, and then once more when the tide turns.</p>"
        '<p><a href="/">All bells</a></p>'
    ).encode()


_INDEX = (
    "<title>The harbour</title><p>Every bell of this harbour has a page of its own, listed here by number.</p><ul>"
    + "".join(f'<li><a href="/{path_of(bell)}">Bell {bell}</a></li>' for bell in range(BELLS))
    + "</ul>"
).encode()
