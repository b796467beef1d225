"""Claims: what makes a page a right answer to a task, and whether another page of the site is right too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import Q

from learning.index.models import IndexedPassage
from training.agent.reading.page import ParsedPage
from training.agent.reading.passages import HEADINGS_JOINED_BY, join_headings
from training.agent.reading.words import content_parts, fold

# So many passages that hold the words of a claim are read. When there are more, it names nothing rare.
READ_MAX = 600
_NUMBER = re.compile(r"^(?:\d+\.)*\d*[.)]?\s+")
# What manuals write before the name of an entry.
_BEFORE = re.compile(
    r"^(?:(?:abstract|async|class|classmethod|coroutine|exception|final|function|method|property|static|staticmethod)"
    r"(?:method)?\s)+"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A section of a page: the page's title, the headings above it, and its text with a line per block."""

    title: str
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Claim:
    """What a page must say to answer a question.

    `named`: a heading, or the beginning of an entry or a line. `subject`: what the page's title must hold too.
    `phrases`: what it must speak of, anywhere. Where both are given, one of the two is enough.
    """

    named: str = ""
    subject: str = ""
    phrases: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Claim:
        """A claim as `to_json` wrote it."""
        return cls(**{**data, "phrases": tuple(data.get("phrases", ()))})

    def to_json(self) -> dict[str, Any]:
        """The given parts."""
        return {name: value for name, value in asdict(self).items() if value}

    def list_words(self) -> list[frozenset[str]]:
        """The words of each part. A passage that holds all words of none of them is no part of a right page."""
        return [words for words in map(content_parts, (self.named, *self.phrases)) if words]

    def is_named_by(self, place: Place) -> bool:
        """Whether this section names what is asked for, so that its page is right."""
        name = fold(self.named)
        if not name or (self.subject and not _holds_words(fold(self.subject), fold(place.title))):
            return False
        headings = (_NUMBER.sub("", fold(text)) for text in place.heading.split(HEADINGS_JOINED_BY))
        if name in headings:
            return True
        lines = (_BEFORE.sub("", fold(line)) for line in place.text.split("\n"))
        if self.subject:
            # An option may be the second name of its entry.
            return any(_holds(name, line[:80]) for line in lines)
        return any(line.startswith(name) and not _goes_on(line, len(name)) for line in lines)

    def is_held_by(self, said: str) -> bool:
        """Whether a page speaks of all the phrases. `said`: its title, its headings and its text, folded."""
        return bool(self.phrases) and all(_holds(fold(phrase), said) for phrase in self.phrases)


def _goes_on(text: str, end: int) -> bool:
    return text[end : end + 1].isalnum() or text[end : end + 1] in ("_", "-")


def _holds(name: str, text: str) -> bool:
    """Whether a text holds a name that is no part of a longer word."""
    start = text.find(name)
    while start >= 0:
        if not _goes_on(text, start + len(name)) and not (start and _goes_on(text, start - 1)):
            return True
        start = text.find(name, start + 1)
    return False


def _holds_words(name: str, text: str) -> bool:
    return _holds(name.replace("-", " "), text.replace("-", " "))


def list_places(page: ParsedPage) -> list[Place]:
    return [
        Place(
            page.title,
            join_headings(section.headings),
            "\n".join(f"{block.term} {block.text}".strip() for block in section.blocks),
        )
        for section in page.sections
    ]


def find_rivals(claim: Claim, *, host_id: int, url: str) -> Iterator[str]:
    """The other pages of the host's index that are right as well; the page itself when too many may be."""
    wanted = Q(pk=None)
    for words in claim.list_words():
        wanted |= Q(terms__contains=sorted(words))
    holding = IndexedPassage.objects.filter(wanted, host_id=host_id).exclude(page__url=url)
    rows = list(holding.order_by().values_list("page__url", "page__title", "heading", "text")[:READ_MAX])
    if len(rows) == READ_MAX:
        yield url
        return
    pages: dict[str, list[Place]] = {}
    for other, title, heading, text in rows:
        pages.setdefault(other, []).append(Place(title, heading, text))
    for other, places in pages.items():
        said = fold(" ".join(f"{place.title} {place.heading} {place.text}" for place in places))
        if claim.is_held_by(said) or any(map(claim.is_named_by, places)):
            yield other


def is_answered_by(claim: Claim, places: Iterable[Place], *, said: str) -> bool:
    """Whether a page meets the claim. `said`: its title and its text, folded."""
    may_name = bool(claim.named) and fold(claim.named) in said
    return claim.is_held_by(said) or (may_name and any(map(claim.is_named_by, places)))
