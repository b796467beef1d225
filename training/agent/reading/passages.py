"""Passages: a page cut along its own sections, each with the headings above it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# A passage ends before the block that would make it longer than this. A longer block is cut at a blank.
WORDS_MAX = 180
# An entry of a list of definitions this long is a passage of its own, under its term.
ENTRY_WORDS = 40
# A block this short may be a question, or what leads to a list: it stands in both passages that it parts.
LEAD_WORDS = 40
# A heading of a page is a line; what is longer is a paragraph that is set as one.
HEADING_MAX = 200
PASSAGES_MAX = 1_000
HEADINGS_JOINED_BY = " › "


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a row with its `cells`, a list item, or an entry of a list of definitions with its `term`.

    `is_head`: the row holds the names of columns.
    """

    text: str
    term: str = ""
    cells: tuple[str, ...] = ()
    is_head: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """The blocks between two headings, and the headings that stand above them, outermost first."""

    headings: tuple[str, ...]
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """At most `WORDS_MAX` words of one section. `heading`: the section's headings, " › " between them.

    `text` has a line per block.
    """

    heading: str
    text: str


class SectionReader:
    """Collects the sections of a page while its blocks are read."""

    def __init__(self) -> None:
        self._path: list[tuple[int, str]] = []
        self._blocks: list[Block] = []
        self._sections: list[Section] = []

    def open_section(self, level: int, heading: str) -> None:
        """A heading was read. Its level is 1 to 6, or 7 for a paragraph in bold."""
        self._end_section()
        above = [(each, text) for each, text in self._path if each < level]
        self._path = [*above, (level, heading[:HEADING_MAX])]

    def add_block(self, block: Block) -> None:
        """A block of the open section was read."""
        self._blocks.append(block)

    def close(self) -> tuple[Section, ...]:
        """All sections that have text, in the order of the page."""
        self._end_section()
        return tuple(self._sections)

    def _end_section(self) -> None:
        if self._blocks:
            self._sections.append(Section(tuple(text for _, text in self._path), tuple(self._blocks)))
            self._blocks = []


def cut_passages(sections: Iterable[Section]) -> tuple[Passage, ...]:
    """The passages of a page in order, at most `PASSAGES_MAX`, each text once."""
    passages: dict[Passage, None] = {}
    for section in sections:
        for passage in _cut_section(section):
            passages.setdefault(passage)
            if len(passages) >= PASSAGES_MAX:
                return tuple(passages)
    return tuple(passages)


def _cut_section(section: Section) -> Iterator[Passage]:
    heading = join_headings(section.headings)
    packed: list[str] = []
    for block in section.blocks:
        if block.term and _count_words(block.text) >= ENTRY_WORDS:
            yield from _pack(packed, heading)
            packed = []
            yield from _pack([f"{block.term} {block.text}"], join_headings((*section.headings, block.term)))
        else:
            packed.append(f"{block.term} {block.text}".strip())
    yield from _pack(packed, heading)


def _pack(blocks: Iterable[str], heading: str) -> Iterator[Passage]:
    """Fills passages with blocks. A short block at the end of one begins the next too: it may lead on to it."""
    held: list[str] = []
    words = 0
    for block in (piece for text in blocks for piece in _cut_text(text)):
        count = _count_words(block)
        if held and words + count > WORDS_MAX:
            yield Passage(heading, "\n".join(held))
            lead = held[-1] if len(held) > 1 and _count_words(held[-1]) <= LEAD_WORDS else ""
            held, words = ([lead], _count_words(lead)) if lead else ([], 0)
        held.append(block)
        words += count
    if held:
        yield Passage(heading, "\n".join(held))


def _count_words(text: str) -> int:
    return text.count(" ") + 1


def _cut_text(text: str) -> Iterator[str]:
    words = text.split(" ")
    for start in range(0, len(words), WORDS_MAX):
        yield " ".join(words[start : start + WORDS_MAX])


def join_headings(headings: Iterable[str]) -> str:
    """The headings in one line."""
    return HEADINGS_JOINED_BY.join(heading for heading in headings if heading)


def describe_text(title: str, passage: Passage) -> str:
    """What a vector of a passage is made of: the title of its page, its headings and its text."""
    return f"{title}. {passage.heading}. {passage.text}"
