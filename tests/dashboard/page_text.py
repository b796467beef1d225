"""What a reader gets of a page: the text of each element, with the hints separate."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "input", "br", "hr"}
SILENT = {"script", "style", "template", "head"}
FIGURE = r"[^|]{1,80}?"


@dataclass
class Element:
    """An element with its text, without that of the hints inside it."""

    tag: str
    attributes: dict[str, str]
    pieces: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its text on one line."""
        return join_words("".join(self.pieces))

    @property
    def is_hint(self) -> bool:
        """Whether it explains what it stands next to."""
        return self.tag == "details" and "hint" in self.attributes.get("class", "").split()


class PageText(HTMLParser):
    """Reads a page; `elements` are all of them, the first the whole page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements = [Element("page", {})]
        self._open = [self.elements[0]]
        self.feed(html)

    @property
    def text(self) -> str:
        """All visible text."""
        return self.elements[0].text

    def says(self, text: str) -> bool:
        """Whether the visible text has this, `…` standing for any figure or name."""
        return re.search(compile_owed(text), self.text) is not None

    def find(self, text: str) -> list[Element]:
        """Elements with exactly this text."""
        return [element for element in self.elements if element.text == join_words(text)]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].pieces.append(" ")
        if tag not in VOID:
            self.elements.append(element)
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        element = self._open.pop()
        assert element.tag == tag, f"</{tag}> closes <{element.tag}>"
        if element.is_hint:
            self._open[-1].hints.append(element.text)
        elif tag not in SILENT:
            self._open[-1].pieces.append(f" {''.join(element.pieces)} ")

    def handle_data(self, data: str) -> None:
        self._open[-1].pieces.append(data)


def join_words(text: str) -> str:
    """The text on one line, with no blank where the eye sees none."""
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"(?<=[(/]) | (?=[),;:/%]|\.(?:\s|$))", "", text)


def compile_owed(text: str) -> str:
    """A pattern for a text of the list."""
    words = join_words(text)
    edge = r"(?<!\w)" if words[0].isalnum() else ""
    end = r"(?!\w)" if words[-1].isalnum() else ""
    return edge + FIGURE.join(re.escape(part) for part in words.split("…")) + end
