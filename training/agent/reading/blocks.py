"""The text of a page in blocks (paragraphs, rows, entries), and the passages of a block that can be quoted."""

from __future__ import annotations

from collections.abc import Iterable

import regex

from training.agent.errors import AgentError, ErrorCode
from training.agent.reading.passages import Block, SectionReader
from training.agent.reading.text import clean_text, measure_length

PASSAGE_MIN = 40
PASSAGE_MAX = 300
# A row, an entry or a list item may be this short and still be useful: "Port: 22".
FACT_MIN = 8
# Characters of text on one page: a long book has half of that.
TEXT_MAX = 2_000_000
# Lines of preformatted and of plain text on one page.
LINES_MAX = 250_000
# A longer block is cut.
_BLOCK_MAX = 500_000
_LINK_SHARE_MAX = 0.5

_BLOCK_TAGS = (
    "address article aside blockquote body caption center dd details dialog div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 header hr legend li main menu nav ol option p pre section summary "
    "table tbody td tfoot th thead tr ul"
)
BLOCK_TAGS = frozenset(_BLOCK_TAGS.split())
_HEADING_LEVELS = {f"h{level}": level for level in range(1, 7)}
# Signs of links to the heading itself, which manuals put after it.
_HEADING_MARKS = "¶§# \u200b"
# A paragraph in bold with no more words is a heading, below all others: lists of questions are often written so.
_BOLD_LEVEL, _BOLD_WORDS = 7, 40
_BOLD_SHARE = 0.8
# Tags that start, and tags that end, a row, entry or list item, whose short pieces belong together.
_FACT_STARTS = frozenset({"dt", "li", "tr"})
_FACT_ENDS = frozenset({"dl", "li", "menu", "ol", "table", "tbody", "tfoot", "thead", "tr", "ul"})
# A sentence ends with its mark and a blank that no small letter follows; in scripts without blanks, with its mark.
# Marks of quotation close after the mark of the sentence; in French with a blank before them.
_SENTENCE_END = regex.compile(
    r"""(?<=[.!?\u2026\u061f\u06d4\u0964\u0965\u0589\u1362\u17d4\u104b])"""
    r"""(?:["')\]\u201c\u201d\u2018\u2019\u00ab\u00bb\u203a]|\s\u00bb(?=\s))*+\s+"""
    r"""(?=(?:["'(\[`\u201c\u201e\u2018\u201a\u00bb\u2039\u00bf\u00a1:]|\u00ab\s?)*+[\p{Lu}\p{Lt}\p{Lo}\p{Nd}])"""
    r"""|(?<=[\u3002\uff01\uff1f\uff61])(?![\u3002\uff01\uff1f\uff61])["')\]\u201d\u2019\u300d\u300f\uff09\u3011]*+\s*+"""
)


class BlockReader:
    """Collects the text of a page: `lines`, one for each block, `passages` that can be quoted, and `sections`.

    A blank line, from <br> or in <pre>, ends a block as an element does.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.passages: dict[str, None] = {}
        self.sections = SectionReader()
        self._heading_level = 0
        self._pieces: list[str] = []
        self._held = self._linked = self._bold = self._read = self._lines_read = 0
        self._line_is_blank = True
        self._in_pre = False
        # The blocks of the row, entry or list item that is open: text, letters of it in links, tag.
        self._fact: list[tuple[str, int, str]] = []
        self._fact_tag = self._tag = ""
        # The cells of the row that is open, each with its texts, and whether all of them name columns.
        self._cells: list[list[str]] = []
        self._is_head = True

    def start_block(self, tag: str) -> None:
        """A block element opens."""
        self._end_block()
        # A second term belongs to the same entry while there is no description.
        joins = tag == "dt" and self._fact_tag == "dt" and all(each == "dt" for _, _, each in self._fact)
        if (tag in _FACT_STARTS and not joins) or tag in _FACT_ENDS:
            self._end_fact()
        if tag in _FACT_STARTS:
            self._fact_tag = tag
        self._tag = tag if tag in ("dt", "dd") or self._fact_tag != "dt" else self._tag
        if tag in ("td", "th"):
            self._cells.append([])
            self._is_head = self._is_head and tag == "th"
        self._in_pre = tag == "pre"
        self._heading_level = _HEADING_LEVELS.get(tag, self._heading_level)

    def end_block(self, tag: str) -> None:
        """A block element closes."""
        self._end_block()
        if tag in _FACT_ENDS:
            self._end_fact()
        self._in_pre = False
        if tag in _HEADING_LEVELS:
            self._heading_level = 0

    def add_text(self, text: str, *, in_link: bool, in_bold: bool = False) -> None:
        """Text as it stands in the markup. Raises AgentError too_large."""
        self._read += len(text)
        if self._read > TEXT_MAX:
            raise AgentError(ErrorCode.TOO_LARGE, f"The page says more than {TEXT_MAX:,} characters.")
        if not self._in_pre:
            self._add_line(text, in_link, in_bold)
            return
        first, *others = text.split("\n")
        self._lines_read += len(others)
        if self._lines_read > LINES_MAX:
            raise AgentError(ErrorCode.TOO_LARGE, f"The page has more than {LINES_MAX:,} lines.")
        self._add_line(first, in_link, in_bold)
        for line in others:
            self.end_line()
            self._add_line(line, in_link, in_bold)

    def end_line(self) -> None:
        """The line ends; the block does too when nothing stood on the line."""
        if self._line_is_blank:
            self._end_block()
        self._pieces.append(" ")
        self._line_is_blank = True

    def close(self) -> None:
        """The page ends."""
        self._end_block()
        self._end_fact()

    def _add_line(self, line: str, in_link: bool, in_bold: bool) -> None:
        letters = len(line.strip())
        if letters:
            self._line_is_blank = False
            self._linked += letters if in_link else 0
            self._bold += letters if in_bold else 0
        self._pieces.append(line)
        self._held += len(line)
        if self._held > _BLOCK_MAX:
            self._end_block()

    def _end_block(self) -> None:
        text = clean_text("".join(self._pieces))
        if text:
            self.lines.append(text)
            is_bold = self._bold >= len(text) * _BOLD_SHARE and text.count(" ") < _BOLD_WORDS
            if self._heading_level:
                self.sections.open_section(self._heading_level, text.rstrip(_HEADING_MARKS))
            if self._fact_tag:
                if self._cells:
                    self._cells[-1].append(text)
                is_term = is_bold and self._fact_tag == "li" and not self._fact
                self._fact.append((text, self._linked, "dt" if is_term else self._tag))
            else:
                self._add_paragraph(text, is_bold=is_bold)
        self._pieces.clear()
        self._held = self._linked = self._bold = 0
        self._line_is_blank = True

    def _add_paragraph(self, text: str, *, is_bold: bool) -> None:
        self._keep_passages(text, self._linked)
        if self._heading_level or self._linked > len(text) * _LINK_SHARE_MAX:
            return
        if is_bold:
            self.sections.open_section(_BOLD_LEVEL, text)
        # What is set in bold may also be a sentence that answers.
        self.sections.add_block(Block(text))

    def _end_fact(self) -> None:
        fact, tag, cells = self._fact, self._fact_tag, self._cells
        self._fact, self._fact_tag, self._cells = [], "", []
        is_head, self._is_head = self._is_head, True
        if not fact:
            return
        joined = " ".join(text for text, _, _ in fact)
        row = tuple(" ".join(texts) for texts in cells) if tag == "tr" else ()
        self._add_fact(fact, joined, cells=row, is_head=bool(row) and is_head)
        is_short = measure_length(joined) >= FACT_MIN and len(joined) <= PASSAGE_MAX
        if is_short and _says_one_thing(fact, tag):
            if sum(linked for _, linked, _ in fact) <= len(joined) * _LINK_SHARE_MAX:
                self.passages.setdefault(joined)
            return
        for text, linked, _ in fact:
            self._keep_passages(text, linked)

    def _add_fact(
        self, fact: list[tuple[str, int, str]], joined: str, *, cells: tuple[str, ...], is_head: bool
    ) -> None:
        if sum(linked for _, linked, _ in fact) > len(joined) * _LINK_SHARE_MAX:
            return
        term = " ".join(text for text, _, tag in fact if tag == "dt")
        said = " ".join(text for text, _, tag in fact if tag != "dt")
        self.sections.add_block(Block(said, term, cells, is_head) if said else Block(term))

    def _keep_passages(self, text: str, linked: int) -> None:
        if linked <= len(text) * _LINK_SHARE_MAX and measure_length(text) >= PASSAGE_MIN:
            self.passages.update(dict.fromkeys(split_passages(text)))


def read_plain(text: str) -> BlockReader:
    """The blocks of plain text: paragraphs between blank lines. Raises AgentError too_large."""
    reader = BlockReader()
    reader.start_block("pre")
    for start in range(0, len(text), _BLOCK_MAX):
        # No text of a database holds a NUL.
        reader.add_text(text[start : start + _BLOCK_MAX].replace("\x00", " "), in_link=False)
    reader.close()
    return reader


def split_passages(block: str) -> list[str]:
    """Sentences of a block, none above 300 characters, none that reads below 40.

    A short one is joined to the next, the last one to the one before it.
    """
    passages: list[str] = []
    held = gap_before = ""
    for sentence, gap in _split_sentences(block):
        joined = f"{held}{gap}{sentence}" if held else sentence
        if len(joined) > PASSAGE_MAX:
            passages.append(held)
            joined = sentence
        gap_before = gap_before if joined != sentence else gap
        held = joined
        if measure_length(held) >= PASSAGE_MIN:
            passages.append(held)
            held = ""
    if held and passages and len(passages[-1] + gap_before + held) <= PASSAGE_MAX:
        passages[-1] += gap_before + held
    return [passage for passage in passages if measure_length(passage) >= PASSAGE_MIN]


def list_sentences(text: str) -> list[str]:
    """All sentences of a text, however short."""
    return [sentence for line in text.split("\n") for sentence, _ in _split_sentences(line)]


def _split_sentences(block: str) -> Iterable[tuple[str, str]]:
    """Sentences, each with its separator from the one before: a blank, or nothing."""
    start, gap = 0, ""
    for end in [match.end() for match in _SENTENCE_END.finditer(block)] + [len(block)]:
        sentence = block[start:end]
        next_gap = " " if sentence.endswith(" ") else ""
        sentence = sentence.strip()
        start = end
        while len(sentence) > PASSAGE_MAX:
            cut = sentence.rfind(" ", 0, PASSAGE_MAX)
            cut = cut if cut > 0 else PASSAGE_MAX
            yield sentence[:cut], gap
            gap = " " if sentence[cut] == " " else ""
            sentence = sentence[cut:].strip()
        if sentence:
            yield sentence, gap
        gap = next_gap


def _says_one_thing(fact: list[tuple[str, int, str]], tag: str) -> bool:
    """Whether these blocks make sense only together: a row with a short cell, a short entry, a short item."""
    short = [measure_length(text) < PASSAGE_MIN for text, _, _ in fact]
    if tag == "tr":
        # Several long cells, or one with several sentences, make sense without the others.
        long = [text for is_short, (text, _, _) in zip(short, fact, strict=True) if not is_short]
        return any(short) and len(long) <= 1 and all(len(split_passages(text)) == 1 for text in long)
    if tag == "dt":
        described = [is_short for is_short, (_, _, part) in zip(short, fact, strict=True) if part == "dd"]
        return all(described) if described else False
    return measure_length(" ".join(text for text, _, _ in fact)) < PASSAGE_MIN
