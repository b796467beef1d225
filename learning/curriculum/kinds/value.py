"""Value: a default, a limit, or a cell of a table, with the exact words that an answer must give."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from learning.curriculum.claims import Claim
from learning.curriculum.kinds.definition import read_term
from learning.curriculum.kinds.proposals import PageText, Proposed, is_askable
from training.agent.reading.blocks import split_passages
from training.agent.reading.passages import Block
from training.agent.reading.text import squeeze

SENTENCE_MOST = 200
# A longer expected text is more than one value.
VALUE_MOST = 40
# "Defaults to 64.", "The default is 2000", "(default: 10)".
_DEFAULT = re.compile(
    r"\b(?:[Dd]efaults? (?:value )?(?:is|to|of)|[Dd]efaults?:|(?:is|are) .{1,20} by default)\s*(?P<value>[^\s;,()]+)"
)
# "The default page size is 4096 bytes", "the maximum number of columns is 2000".
_LIMIT = re.compile(
    r"\b[Tt]he (?P<what>(?:default|maximum|minimum|largest|smallest|upper bound on the)"
    r"(?: (?!each\b|every\b|is\b|are\b|to\b|that\b|which\b|can\b|may\b|when\b|if\b)[A-Za-z_-]+){1,6}) (?:is|are) "
    r"(?P<value>(?:[-+]?\d[\d,.]*\w*|[A-Z_]{3,}\w*|true|false|on|off|yes|no|zero|one|two)\b)"
)
# "random.seed(a=None, version=2)": what is no number and no word of its own says little.
_ARGUMENT = re.compile(r"[(\s,](?P<name>[a-z_]{3,})=(?P<value>-?\d[\d._]*|True|False|'[^']{1,20}')(?=[,)\]\s])")
_VAGUE_WORDS = (
    "default maximum minimum largest smallest upper lower bound possible allowed allowable legal usable supported "
    "value values setting size number amount length level limit space on the of for"
)
_VAGUE = frozenset(_VAGUE_WORDS.split())
_NO_VALUE = re.compile(r"(?i)(?:an?|the|whatever|what|not|all|any|being|be|use|using|if|one|its?|this|that|\W*)\W*")
_COLUMNS_LEAST, _ROWS_LEAST = 2, 3
_HEAD_MOST, _CELL_MOST, _NAME_MOST = 30, 60, 40
# Names of columns that say what their cells are.
_COLUMN = re.compile(
    r"(?i)\b(?:default|types?|size|range|unit|limit|minimum|maximum|version|code|alias|equivalent|operator|precedence"
    r"|width|length|format|encoding|result|status|module|class|method|key|variable|option|setting|value|year|date)\b"
)
_YES_NO = re.compile(r"(?i)(?:yes|no|true|false|n/?a|none|[-–—x✓✗])\b.{0,10}")
_NAMELIKE = re.compile(r"[^\W_][\w .*+/-]*(?:\(\))?")


def propose_values(page: PageText) -> Iterator[Proposed]:
    """Defaults of entries and of arguments, limits that a sentence states, and cells of tables."""
    for entry in page.list_entries():
        yield from _ask_entry(entry, page)
    for section in page.sections:
        for block in section.blocks:
            if not block.cells:
                yield from _ask_limit(block.text, page)
    yield from _ask_tables(page)


def _ask_entry(entry: Block, page: PageText) -> Iterator[Proposed]:
    term = read_term(entry.term, subject=page.subject)
    if term is None or not term.is_code:
        return
    claim = Claim(named=term.named, subject=term.subject)
    for given in _ARGUMENT.finditer(squeeze(entry.term)):
        passage = page.cut(entry.term)
        if given[0][1:] in passage:
            prompt = f"What is the default for {given['name']} in {term.spoken}?"
            yield Proposed(prompt=prompt, passage=passage, claim=claim, expected_text=given[0][1:])
    # A function has several arguments, and a default that its text gives is of one of them.
    is_setting = "()" not in term.spoken and not term.spoken.startswith(("the class", "the exception"))
    for sentence in split_passages(entry.text) if is_setting else ():
        found = _DEFAULT.search(sentence)
        if (
            found
            and not _NO_VALUE.fullmatch(found["value"])
            and len(sentence) <= SENTENCE_MOST
            and sentence in page.text
        ):
            is_option = term.spoken.startswith("the option")
            prompt = f"What does {term.spoken} default to?" if is_option else f"What is the default of {term.spoken}?"
            yield Proposed(prompt=prompt, passage=sentence, claim=claim, expected_text=found[0].strip(" ."))
            return


def _ask_limit(text: str, page: PageText) -> Iterator[Proposed]:
    for sentence in split_passages(text):
        found = _LIMIT.search(sentence)
        if found and _names_thing(found["what"]) and len(sentence) <= SENTENCE_MOST and sentence in page.text:
            yield Proposed(
                prompt=f"What is the {found['what']}?",
                passage=sentence,
                claim=Claim(phrases=(found["what"],)),
                expected_text=found[0],
            )


def _names_thing(what: str) -> bool:
    """Whether a limit says of what it is: not “the default value of N”, not “the largest possible size”."""
    words = what.lower().split()
    return len(words) > 2 and len(words[-1]) > 2 and not _VAGUE.issuperset(words)


def _ask_tables(page: PageText) -> Iterator[Proposed]:
    for section in page.parsed.sections:
        head: tuple[str, ...] = ()
        rows: list[Block] = []
        for block in (*section.blocks, Block("", is_head=True)):
            if not block.is_head and block.cells:
                rows.append(block)
                continue
            yield from _ask_rows(head, rows, page)
            head, rows = block.cells, []


def _ask_rows(head: Sequence[str], rows: Sequence[Block], page: PageText) -> Iterator[Proposed]:
    if len(head) < _COLUMNS_LEAST or len(rows) < _ROWS_LEAST:
        return
    names = [row.cells[0] for row in rows]
    for row in rows:
        name = row.cells[0]
        if len(row.cells) != len(head) or names.count(name) > 1 or not _can_name(name):
            continue
        for column, cell in zip(head[1:], row.cells[1:], strict=True):
            if not _can_ask_for(column, cell):
                continue
            passage = page.cut(row.text)
            if cell in passage:
                yield Proposed(
                    prompt=f"What is the {page.lower_title(column)} of {_speak_row(head[0], name, page)}?",
                    passage=passage,
                    claim=Claim(named=name),
                    expected_text=passage if len(passage) <= SENTENCE_MOST else cell,
                )


def asks_for_value(check_spec: Mapping[str, Any]) -> bool:
    """Whether the expected text of a check is one value, which an answer must say word for word."""
    return 0 < len(check_spec.get("expected_text") or "") <= VALUE_MOST


def _speak_row(head: str, name: str, page: PageText) -> str:
    """“the option foo”, “foo”; the name of the first column may be missing."""
    return f"the {page.lower_title(head)} {name}" if is_askable(head, most=_HEAD_MOST) else name


def _can_name(name: str) -> bool:
    return is_askable(name, most=_NAME_MOST) and len(name) >= 3 and bool(_NAMELIKE.fullmatch(name))


def _can_ask_for(column: str, cell: str) -> bool:
    is_column = is_askable(column, most=_HEAD_MOST) and len(column.split()) <= 3 and bool(_COLUMN.search(column))
    is_value = 0 < len(cell) <= _CELL_MOST and any(map(str.isalnum, cell)) and not _YES_NO.fullmatch(cell)
    return is_column and is_value
