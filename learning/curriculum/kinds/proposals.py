"""Proposals: questions that one page answers, and the page as those that make them read it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from learning.curriculum.claims import Claim
from training.agent.reading.blocks import split_passages
from training.agent.reading.page import ParsedPage
from training.agent.reading.passages import Block, Section
from training.agent.reading.text import squeeze

# A passage that answers is stored, and indexed, with no more characters.
PASSAGE_MAX = 300
# Quoted words are looked up literally, so that no question may quote by chance.
_QUOTES = frozenset('"“”„«»「」『』`')
_TITLE_PARTS = re.compile(r"\s+(?:[—–|·:»-]|::)\s+")
_MANUAL_PAGE = re.compile(r"\((?:\d\w*|n|l)\)(?: Manual Page)?$")
_NUMBERING = re.compile(
    r"^(?:(?:\d+|[A-Z])(?:\.\d+)*[.)]\s+|(?:\d+\.)+\d+\s+|(?:Chapter|Appendix|Section)\s+\w+[.:]\s+)"
)
# "git-clone", which is called "git clone".
_HYPHENED = re.compile(r"[a-z]+(?:-[a-z]+)+")
# Words that do not begin a sentence; words with a capital; and endings that names seldom have.
_WITHIN = re.compile(r"(?<=[a-z,] )[^\W\d_]+")
_CAPITALISED = re.compile(r"(?<![\w.*/-])[A-Z][a-z]*(?![\w.*/-])")
_NO_NAME = re.compile(r"^an?$|(?:ing|ions?|ments?|ness|ity|ies|ed|ers?|ors?)$")
PROSE_LEAST = 60
SIGNS = "¶§#\u200b \u00a0"


@dataclass(frozen=True, slots=True)
class Proposed:
    """A question, the words of the page that answer it, and what any page must say to answer it too.

    `passage` stands in the text of the page. `expected_text`: what an answer must say or quote; empty: the page is
    enough.
    """

    prompt: str
    passage: str
    claim: Claim
    expected_text: str = ""


@dataclass(frozen=True)
class PageText:
    """A page as its questions are made: its sections, its text in one line, and what it is about."""

    url: str
    parsed: ParsedPage

    @cached_property
    def text(self) -> str:
        """The text of the page with single blanks, as tasks are compared with it later."""
        return squeeze(self.parsed.text)

    @cached_property
    def subject(self) -> str:
        """What the page calls itself: “git clone”, “struct”; empty when its title is more than a name."""
        name = strip_numbering(_MANUAL_PAGE.sub("", _TITLE_PARTS.split(self.parsed.title)[0].strip()))
        spaced = name.replace("-", " ")
        if _HYPHENED.fullmatch(name) and self.text.count(f"{spaced} ") > 1:
            return spaced
        return name if _HYPHENED.fullmatch(name) or re.fullmatch(r"[\w.]+", name) else ""

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The sections that stand under a heading, each with its headings as they read without numbers and signs."""
        return tuple(
            Section(tuple(strip_numbering(text) for text in section.headings), section.blocks)
            for section in self.parsed.sections
            if section.headings
        )

    def list_entries(self) -> Iterator[Block]:
        """The entries of lists of definitions that say what their term is."""
        for section in self.parsed.sections:
            yield from (block for block in section.blocks if block.term and block.text)

    @cached_property
    def _spellings(self) -> Counter[str]:
        """How often the page writes each word within its sentences, with the capitals it has there."""
        prose = (line for line in self.parsed.text.split("\n") if len(line) > PROSE_LEAST)
        return Counter(word for line in prose for word in _WITHIN.findall(line))

    def lower_title(self, text: str) -> str:
        """“Making A Backup Of Android” as it stands in a sentence: words get small that the page writes small."""

        def lower(found: re.Match[str]) -> str:
            word, small = found[0], found[0].lower()
            capital, plain = self._spellings[word], self._spellings[small]
            if found.start() == 0 and not capital and is_sentence:
                return small
            return small if plain > capital or (not capital and _NO_NAME.search(small)) else word

        # Where other words have no capital, the first one has it because it comes first.
        is_sentence = not _CAPITALISED.search(text, 1)
        return _CAPITALISED.sub(lower, text)

    def cut(self, passage: str) -> str:
        """The beginning of a passage of this page, whole sentences or words; empty when it is not on the page as it
        reads here.
        """
        passage = squeeze(passage)
        if len(passage) > PASSAGE_MAX:
            first = next(iter(split_passages(passage)), passage)
            is_whole = len(first) <= PASSAGE_MAX and passage.startswith(first)
            passage = first if is_whole else passage[:PASSAGE_MAX].rpartition(" ")[0]
        return passage if passage in self.text else ""


def strip_numbering(heading: str) -> str:
    """A heading without its number and the signs of links to it."""
    return _NUMBERING.sub("", squeeze(heading).strip(SIGNS)).strip(SIGNS)


def is_askable(text: str, *, most: int) -> bool:
    """Whether a question can name this text: short enough, and nothing in it reads as a quotation."""
    return 0 < len(text) <= most and not _QUOTES.intersection(text) and any(map(str.isalpha, text))
