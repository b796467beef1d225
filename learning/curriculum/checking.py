"""Checking: whether sampled tasks have exactly one right page, by a plain search that shares nothing with their making.

The kept pages are read again with the HTML reader of the standard library, and what a task claims is searched in
their text as it stands.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from html.parser import HTMLParser

from learning.curriculum.models import CurriculumTask
from learning.models import FrontierPage
from training.models import Host

Kind = CurriculumTask.Kind
SEED = 15
_HEADINGS = frozenset(f"h{level}" for level in range(1, 7))
_BLOCK_TAGS = "blockquote br caption dd div dl dt figcaption li ol p pre section table tbody td th thead tr ul"
_BLOCKS = _HEADINGS | frozenset(_BLOCK_TAGS.split())
_NAMING = frozenset(("dt", "td", "th"))
_UNSEEN = frozenset(("script", "style", "template"))
# The beginning of a line, in which an entry names itself.
_NAME_MOST = 80
# A page so many times as long as another one, with nearly all of its long lines, is a collection: a manual in one page.
_FACTOR, _SHARE, _LONG, _LINES_LEAST = 3, 0.9, 40, 3
_SIGNS = str.maketrans("“”„‘’‐‑–—", '"""\'\'----')
_BEFORE_NAME = re.compile(r"^(?:\W*\d[\d.]*\W*)?(?:(?:class|exception|async|static|abstract|property|method)\w* )*")


@dataclass(frozen=True, slots=True)
class Checked:
    """A sampled task, and the pages on which the plain search finds what it asks for."""

    task_id: int
    kind: str
    split: str
    prompt: str
    expected_url: str
    right_urls: tuple[str, ...]

    @property
    def is_unique(self) -> bool:
        """Whether the expected page is right, and no other one."""
        return self.right_urls == (self.expected_url,)


@dataclass(frozen=True)
class PlainPage:
    """A page in small letters: its title, its headings, the lines that are no links, and everything without blanks
    between lines.
    """

    url: str
    title: str
    headings: frozenset[str]
    lines: tuple[str, ...]
    everything: str

    @cached_property
    def text(self) -> str:
        return " ".join(self.lines)

    @cached_property
    def long_lines(self) -> frozenset[str]:
        """The lines that say something."""
        return frozenset(line for line in self.lines if len(line) > _LONG)


class _PlainReader(HTMLParser):
    """Cuts a page into lines at its block elements."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.headings: set[str] = set()
        self.lines: list[str] = []
        self.everything: list[str] = []
        self._pieces: list[str] = []
        self._open = self._block = ""
        self._in_link = False
        self._linked = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag in _BLOCKS:
            self.end_line()
            self._block = tag
            # A heading that is never closed ends where other text begins.
            self._open = "" if self._open in _HEADINGS else self._open
        if tag == "a":
            self._in_link = True
        if tag in _HEADINGS or tag in _UNSEEN or tag == "title":
            self._open = tag

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.end_line()
        if tag == "a":
            self._in_link = False
        if tag == self._open:
            self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "title":
            self.title += data
        elif self._open not in _UNSEEN:
            self._pieces.append(data)
            self._linked += len(data.strip()) if self._in_link else 0

    def end_line(self) -> None:
        line = plain("".join(self._pieces))
        # A line of links leads to what is asked for, and does not say it. A heading, a term or a cell may be a link.
        is_link = 2 * self._linked > len(line) and self._open not in _HEADINGS and self._block not in _NAMING
        self._pieces.clear()
        self._linked = 0
        self.everything.append(line)
        if line and not is_link:
            self.lines.append(line)
            if self._open in _HEADINGS:
                self.headings.add(_BEFORE_NAME.sub("", line))


def plain(text: str) -> str:
    """Small letters, single blanks, straight quotes, without the signs of links to headings."""
    return " ".join(text.translate(_SIGNS).casefold().replace("¶", " ").split())


def read_plain_pages(host: Host) -> list[PlainPage]:
    """Every page of a host that the curriculum has read; of pages with equal text the first."""
    entries = FrontierPage.objects.filter(host=host, state=FrontierPage.State.READ).exclude(snapshot=None)
    pages: dict[str, PlainPage] = {}
    for entry in entries.select_related("snapshot").order_by("pk").iterator(chunk_size=50):
        if entry.snapshot is not None:
            page = read_plain_page(entry.url, entry.snapshot.body.decode("utf-8", "replace"))
            pages.setdefault(page.text, page)
    return list(pages.values())


def read_plain_page(url: str, markup: str) -> PlainPage:
    reader = _PlainReader()
    reader.feed(markup)
    reader.close()
    reader.end_line()
    return PlainPage(
        url, plain(reader.title), frozenset(reader.headings), tuple(reader.lines), "".join(reader.everything)
    )


def check_host(host: Host, *, sample: int, seed: int = SEED) -> Iterator[Checked]:
    """Checks at most `sample` tasks of each kind that a host is asked; people's cases are right by their verdict."""
    pages = read_plain_pages(host)
    for kind in Kind.values:
        if kind == Kind.PERSON:
            continue
        tasks = list(CurriculumTask.objects.asked().filter(host=host, kind=kind).order_by("pk"))
        # The same sample in every process: tasks are few, so they are drawn in memory.
        drawn = random.Random(f"{seed}/{kind}").sample(tasks, min(sample, len(tasks)))  # noqa: S311
        for task in sorted(drawn, key=lambda task: task.pk):
            right = find_right_pages(task, pages)
            yield Checked(task.pk, task.kind, task.split, task.prompt, task.expected_url, right)


def find_right_pages(task: CurriculumTask, pages: Sequence[PlainPage]) -> tuple[str, ...]:
    """The pages that a plain search finds right for a task, without those that only collect others."""
    says = _SEARCHES.get(task.kind, _finds_name)
    right = [page for page in pages if says(task, page)]
    own = next((page for page in right if page.url == task.expected_url), None)
    if own is not None:
        right = [page for page in right if page is own or not _collects(page, own)]
        if not _stands(task.passage, own):
            right.remove(own)
    return tuple(page.url for page in right)


def _collects(page: PlainPage, other: PlainPage) -> bool:
    shared = page.long_lines & other.long_lines
    if len(other.long_lines) < _LINES_LEAST:
        return False
    return len(page.text) >= _FACTOR * len(other.text) and len(shared) >= _SHARE * len(other.long_lines)


def _stands(passage: str, page: PlainPage) -> bool:
    return _bare(passage) in _bare(page.everything)


def _bare(text: str) -> str:
    """Without blanks: two readers may part cells and lines in different ways."""
    return re.sub(r"\s+", "", plain(text))


def _finds_name(task: CurriculumTask, page: PlainPage) -> bool:
    """The name at the beginning of a line, on a page whose title has the subject when the question names one."""
    name, subject = plain(task.claim.get("named", "")), plain(task.claim.get("subject", ""))
    if not name:
        return _finds_phrases(task, page)
    if subject and not _has_word(subject.replace("-", " "), page.title.replace("-", " ")):
        return False
    starts = [start[:_NAME_MOST] for line in page.lines for start in (line, _BEFORE_NAME.sub("", line))]
    if subject:
        return any(_has_word(name, start) for start in starts)
    return any(start.startswith(name) and _has_word(name, start) for start in starts)


def _finds_heading(task: CurriculumTask, page: PlainPage) -> bool:
    return plain(task.claim.get("named", "")) in page.headings or _finds_phrases(task, page)


def _finds_phrases(task: CurriculumTask, page: PlainPage) -> bool:
    phrases = [plain(phrase) for phrase in task.claim.get("phrases", ())]
    if not phrases or not all(phrase in page.text for phrase in phrases):
        return False
    return all(_has_word(phrase, page.text) for phrase in phrases)


def _has_word(name: str, text: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


_SEARCHES: dict[str, Callable[[CurriculumTask, PlainPage], bool]] = {
    Kind.SAYS: lambda task, page: _stands(task.passage, page),
    Kind.HEADING: _finds_heading,
    Kind.HOW: _finds_heading,
    Kind.WHERE: _finds_phrases,
}
