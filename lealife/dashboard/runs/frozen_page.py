"""A page as a run saw it: our own rendering of the stored content, as text, with the run's quotes marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from lealife.core.digest import digest_bytes
from lealife.core.errors import NotFound
from lealife.dashboard.runs.trail import link_address
from training.agent.errors import AgentError
from training.agent.reading.page import ParsedPage, parse_page
from training.agent.reading.text import clean_text
from training.models import Step

# The most characters shown. A longer page is shown from its first quote on.
SHOWN_MAX = 200_000
# How many lines before that quote are shown.
LINES_BEFORE = 20
ANCHOR = "quote"


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a line: quoted or not, and whether it answers.

    `anchors` are the fragments of the quotes whose answer begins with it.
    """

    text: str
    is_quoted: bool = False
    answers: bool = False
    anchors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FrozenPage:
    """The stored page. `lines` are its blocks of text, each as pieces; `left_out` counts characters not shown.

    `unread` says why there are no lines, when the page is past what is read.
    """

    run_id: int
    prompt: str
    step: int
    title: str
    url: str
    link: str
    digest: str
    is_intact: bool
    media_type: str
    size: int
    fetched_at: datetime
    kept_at: datetime
    lines: tuple[tuple[Piece, ...], ...]
    quotes: int
    anchors: tuple[str, ...]
    left_out: int
    unread: str


@dataclass(frozen=True, slots=True)
class Span:
    """Where a quote, or what answers in it, stands in the text of a page, in characters; the end is exclusive.

    `quote` is its number, from 1. What answers has several spans where other text of the page parts it; the first one
    carries the anchor of the quote.
    """

    start: int
    end: int
    quote: int
    answers: bool = False
    is_anchor: bool = False


def read_frozen_page(*, run_id: int, digest: str) -> FrozenPage:
    """The page of this content as the run saw it. One query. Raises NotFound when the run saw no such page."""
    step = (
        Step.objects.select_related("snapshot", "run__host")
        .filter(run_id=run_id, snapshot_id=digest)
        .order_by("index")
        .first()
    )
    if step is None:
        raise NotFound(f"Run {run_id} saw no page with this content.")
    run, snapshot = step.run, step.snapshot
    body, url = snapshot.body, step.final_url or step.url
    base, unread = run.host.base_url, ""
    try:
        # Only the text is used, so the base address of its links does not matter.
        page = parse_page(body=body, media_type=snapshot.media_type, url=base, site=run.host.as_site())
    except AgentError as error:
        page, unread = ParsedPage(base, "", (), (), ""), error.message
    quotes = [
        (str(quote.get("text", "")), str(quote.get("highlight", "")))
        for quote in run.quotes
        if quote.get("digest") == digest
    ]
    lines = [line for line in page.text.split("\n") if line]
    spans = find_quotes(lines, quotes)
    shown, left_out = cut_lines(lines, spans)
    return FrozenPage(
        run_id=run_id,
        prompt=run.prompt,
        step=step.index + 1,
        title=page.title or step.title,
        url=url,
        link=link_address(url),
        digest=digest,
        is_intact=digest_bytes(body) == digest,
        media_type=snapshot.media_type,
        size=snapshot.size,
        fetched_at=step.created_at,
        kept_at=snapshot.created_at,
        lines=shown,
        quotes=len(quotes),
        anchors=tuple(name_anchor(number) for number in sorted({span.quote for span in spans})),
        left_out=left_out,
        unread=unread,
    )


def find_quotes(lines: Sequence[str], quotes: Iterable[tuple[str, str]]) -> tuple[Span, ...]:
    """Where quotes stand in the lines joined by blanks, first come first; numbered from 1 as they are given.

    A quote is its text and the words in it that answer, which may be empty: then all of it answers. The agent checked
    the text against the same lines, white space squeezed; one that is not there is left out. Quotes of older runs are
    cleaned as the text is.
    """
    whole = " ".join(lines)
    found = []
    for number, (text, highlight) in enumerate(quotes, 1):
        places = _find_text(whole, text)
        if places:
            answers = _find_text(whole, highlight, since=places[0][0]) or places[:1]
            found += [Span(*place, number, answers=True, is_anchor=place == answers[0]) for place in answers]
            found += [Span(*place, number) for place in places if place not in answers]
    return tuple(sorted(found, key=lambda span: (span.start, span.quote)))


def _find_text(whole: str, text: str, *, since: int = 0) -> list[tuple[int, int]]:
    """Where a text stands: in one piece or, where other lines of the page part it, line by line."""
    place = _find_words(whole, text, since=since)
    if place:
        return [place]
    places = [_find_words(whole, line, since=since) for line in text.split("\n") if line.strip()]
    return [place for place in places if place] if all(places) else []


def _find_words(whole: str, text: str, *, since: int = 0) -> tuple[int, int] | None:
    wanted = clean_text(text)
    start = whole.find(wanted, since) if wanted else -1
    return (start, start + len(wanted)) if start >= 0 else None


def cut_lines(lines: Sequence[str], spans: Sequence[Span]) -> tuple[tuple[tuple[Piece, ...], ...], int]:
    """The lines in pieces, those past the limit left out; and how many characters were."""
    first = _find_first(lines, spans[0].start) if spans and sum(map(len, lines)) > SHOWN_MAX else 0
    at = sum(len(line) + 1 for line in lines[:first])
    shown, length = [], 0
    for line in lines[first:]:
        if length >= SHOWN_MAX:
            break
        cut = line[: SHOWN_MAX - length]
        shown.append(tuple(_cut_line(cut, at=at, spans=spans)))
        length += len(cut)
        at += len(line) + 1
    return tuple(shown), sum(map(len, lines)) - length


def _find_first(lines: Sequence[str], start: int) -> int:
    at = 0
    for index, line in enumerate(lines):
        at += len(line) + 1
        if at > start:
            return max(0, index - LINES_BEFORE)
    return 0


def _cut_line(line: str, *, at: int, spans: Sequence[Span]) -> Iterable[Piece]:
    here = [span for span in spans if span.start < at + len(line) and span.end > at]
    ends = {min(max(place - at, 0), len(line)) for span in here for place in (span.start, span.end)}
    edges = sorted({0, len(line), *ends})
    for start, end in pairwise(edges):
        yield Piece(
            text=line[start:end],
            is_quoted=any(span.start < at + end and span.end > at + start for span in here),
            answers=any(span.answers and span.start < at + end and span.end > at + start for span in here),
            anchors=tuple(name_anchor(span.quote) for span in here if span.is_anchor and span.start == at + start),
        )


def name_anchor(number: int) -> str:
    """The fragment of a page's quote: `quote`, `quote-2`, …"""
    return ANCHOR if number == 1 else f"{ANCHOR}-{number}"
