"""HTML as a stream of tags and text, in one pass and without a tree.

A page can make building a tree very expensive: unclosed formatting tags multiply, and open elements are searched for
every new one. This reader does not depend on how deep a page nests, so each byte costs the same.
"""

from __future__ import annotations

import html
import re
from collections.abc import Generator, Iterator, Mapping
from html.entities import html5
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple

from training.agent.errors import AgentError, ErrorCode

# Tags and character references of one page. An ordinary page of 5 MB has about half of that.
PIECES_MAX = 250_000
# Of one tag: what comes after them is not read.
ATTRIBUTES_MAX = 100
# The longest piece of text, in characters.
TEXT_PIECE = 65_536
TITLE_PIECE = 2_000

NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})
_READ_ATTRIBUTES = frozenset({"a", "area", "base", "frame", "iframe", "img", "link", "meta"})
# Elements whose content is no markup, and of these the ones whose content is shown.
_RAW = frozenset(
    {"iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "textarea", "title", "xmp"}
)
_RAW_SHOWN = frozenset({"plaintext", "title", "xmp"})
_RAW_ENDS = {name: re.compile(rf"</(?i:{name})(?=[\s/>])") for name in _RAW} | {
    # It has no end.
    "plaintext": re.compile(r"(?!)")
}
# Elements left out with all they hold.
_LEFT_OUT = frozenset({"math", "object", "select", "svg", "template"})
_FOREIGN = frozenset({"math", "svg"})
# Inside drawings and formulas: where HTML stands again.
_ISLANDS = frozenset({"annotation-xml", "desc", "foreignobject"})
# Tags that end a drawing, a formula or a list of options that was never closed.
_BREAKOUT_TAGS = (
    "b blockquote body br center code dd div dl dt em h1 h2 h3 h4 h5 h6 head hr i img li menu ol p pre span strong "
    "table u ul"
)
_BREAKOUTS = frozenset(_BREAKOUT_TAGS.split())
_SELECT_ENDS = frozenset({"input", "select", "table", "tbody", "td", "textarea", "th", "thead", "tr"})

_NAME = re.compile(r"</?([a-zA-Z][^\s/>]*+)")
# To the end of a tag; a ">" in a quoted value does not end it. Possessive: nothing is tried twice.
_REST = re.compile(r"""(?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+')?+)*+>""")
_ATTRIBUTE = re.compile(r"""([^\s/>=]++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>]*+)))?+""")
_COMMENT_END = re.compile(r"--!?>")
_REFERENCE = re.compile(r"&(?:#[0-9]{1,9};?|#[xX][0-9a-fA-F]{1,8};?|[A-Za-z][A-Za-z0-9]{1,31}(?:;|(?![=A-Za-z0-9])))")


class Tag(NamedTuple):
    """A start or an end tag. `attributes` are read only for tags that need them; their names are in lower case."""

    name: str
    is_end: bool = False
    attributes: Mapping[str, str] = NO_ATTRIBUTES


def read_markup(text: str, *, is_xml: bool = False) -> Iterator[Tag | str]:
    """Tags and text in order, without parts that readers do not see; of a script only the start tag.

    `is_xml` for XHTML, where `<div/>` is closed and CDATA is text. Raises AgentError too_large.
    """
    left_out = ""
    depth = islands = 0
    for piece in _read_pieces(text, is_xml=is_xml):
        if not left_out:
            if isinstance(piece, Tag) and piece.name in _LEFT_OUT:
                if not piece.is_end:
                    left_out, depth, islands = piece.name, 1, 0
                continue
            yield piece
        elif isinstance(piece, Tag):
            step = -1 if piece.is_end else 1
            if piece.name == left_out and left_out != "select":
                depth += step
            elif piece.name in _ISLANDS:
                islands = max(0, islands + step)
            if not depth or _breaks_out(piece, left_out=left_out, islands=islands):
                left_out = ""
                if piece.name not in _LEFT_OUT:
                    yield piece


def _breaks_out(tag: Tag, *, left_out: str, islands: int) -> bool:
    if left_out == "select":
        return tag.name in _SELECT_ENDS
    return left_out in _FOREIGN and not islands and not tag.is_end and tag.name in _BREAKOUTS


def _read_pieces(text: str, *, is_xml: bool) -> Iterator[Tag | str]:
    position, size, left = 0, len(text), PIECES_MAX
    foreign = ""
    while position < size:
        start = text.find("<", position)
        start = size if start < 0 else start
        left -= 1 + text.count("&", position, start)
        if left < 0:
            said = f"The page has more than {PIECES_MAX:,} tags and character references."
            raise AgentError(ErrorCode.TOO_LARGE, said)
        yield from _read_text(text, position, start)
        named = _NAME.match(text, start)
        rest = _REST.match(text, named.end()) if named else None
        if named is None:
            position = yield from _read_oddity(text, start, is_xml=is_xml or bool(foreign))
        elif rest is None:
            # The page ends inside a tag.
            return
        else:
            tag = _read_tag(text, named, end=rest.end(), is_xml=is_xml)
            yield tag
            position = rest.end()
            is_inside = is_xml or bool(foreign) or tag.name in _FOREIGN
            if tag.is_end:
                foreign = "" if tag.name == foreign else foreign
            elif is_inside and text[position - 2] == "/":
                yield Tag(tag.name, is_end=True)
            elif tag.name in _RAW:
                position = yield from _read_raw(text, position, name=tag.name)
            elif tag.name in _FOREIGN:
                foreign = foreign or tag.name


def _read_tag(text: str, named: re.Match[str], *, end: int, is_xml: bool) -> Tag:
    name = named[1].lower()
    if is_xml:
        name = name.rpartition(":")[2]
    if text[named.start() + 1] == "/":
        return Tag(name, is_end=True)
    if name not in _READ_ATTRIBUTES:
        return Tag(name)
    return Tag(name, False, _read_attributes(text, named.end(), end - 1))


def _read_oddity(text: str, start: int, *, is_xml: bool) -> Generator[Tag | str, None, int]:
    """Comments, declarations and a "<" that opens nothing, or the end of the page; returns where to go on."""
    if start >= len(text):
        return start
    if text.startswith("<!--", start):
        # "<!-->" and "<!--->" are whole comments.
        ended = _COMMENT_END.search(text, start + 2)
        return ended.end() if ended else len(text)
    if is_xml and text.startswith("<![CDATA[", start):
        end = text.find("]]>", start)
        end = len(text) if end < 0 else end
        yield from _read_text(text, start + len("<![CDATA["), end, is_raw=True)
        return end + len("]]>")
    if text[start + 1 : start + 2] in ("!", "?", "/") and start + 2 < len(text):
        end = text.find(">", start)
        return len(text) if end < 0 else end + 1
    yield "<"
    return start + 1


def _read_raw(text: str, position: int, *, name: str) -> Generator[Tag | str, None, int]:
    """The content of an element that holds no markup, and its end; returns where to go on."""
    ended = _RAW_ENDS[name].search(text, position)
    end = ended.start() if ended else len(text)
    if name in _RAW_SHOWN:
        shown = min(end, position + TITLE_PIECE) if name == "title" else end
        yield from _read_text(text, position, shown, is_raw=name != "title")
    yield Tag(name, is_end=True)
    closed = text.find(">", end)
    return len(text) if closed < 0 else closed + 1


def _read_text(text: str, start: int, end: int, *, is_raw: bool = False) -> Iterator[str]:
    while start < end:
        cut = end
        if end - start > TEXT_PIECE:
            blank = text.rfind(" ", start, start + TEXT_PIECE)
            cut = blank + 1 if blank > start else start + TEXT_PIECE
        piece = text[start:cut].replace("\x00", "")
        yield piece if is_raw else _decode_references(piece)
        start = cut


def _decode_references(text: str) -> str:
    if "&" not in text:
        return text
    try:
        return html.unescape(text)
    except ValueError:
        # A number of thousands of digits stands for no character.
        return text


def _read_attributes(text: str, start: int, end: int) -> Mapping[str, str]:
    attributes: dict[str, str] = {}
    for found in islice(_ATTRIBUTE.finditer(text, start, end), ATTRIBUTES_MAX):
        value = found[2] or found[3] or found[4] or ""
        if "&" in value:
            value = _REFERENCE.sub(_decode_in_attribute, value)
        attributes.setdefault(found[1].lower(), value.replace("\x00", ""))
    return attributes


def _decode_in_attribute(found: re.Match[str]) -> str:
    # "?a=1&copy=2" is no copyright sign: without its ";" a name counts only when no letter or "=" follows.
    reference = found[0]
    return html.unescape(reference) if reference[1] == "#" else html5.get(reference[1:], reference)
