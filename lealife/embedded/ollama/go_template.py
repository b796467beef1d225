"""Prompt templates in Go's text/template language: the part that model templates use. No library for it exists.

    parse_template    text → nodes, or TemplateError in Go's words
    Template.render   nodes and values → text

Known: text, trim marks, comments, if / else if / else, range, with, variables, pipelines, parentheses, literals,
and, or, not, eq, ne, lt, le, gt, ge, len, index, slice, print, printf, json, currentDate, break, continue.
Not known: define, block, template and methods. Parsing a template that uses them raises TemplateError.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_ACTION = re.compile(r"\{\{(-(?=\s))?(.*?)((?<=\s)-)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?)|(?P<path>\$?[\w]*(?:\.\w+)+|\$\w*|\.)"""
    r"""|(?P<word>\w+)|(?P<sign>:=|[=|(),]))""",
)
_BLOCKS = ("if", "range", "with")


class TemplateError(ValueError):
    """The text is not a template that this server can render; the sentence is Go's."""


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class _Cut(Exception):
    """Ends rendering at the place of the answer: the rest of the template comes after the answer."""


@dataclass(slots=True)
class Node:
    """One piece of a template. `kind`: `text`, `action`, or the word that begins a block."""

    kind: str
    text: str = ""
    tokens: list[tuple[str, str]] = field(default_factory=list)
    body: list[Node] = field(default_factory=list)
    otherwise: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template."""

    nodes: list[Node]
    names: frozenset[str]

    def render(self, values: dict[str, Any], *, cut: bool = False) -> str:
        """The text for these values. `cut`: leave out everything after the place of `.Response`."""
        out: list[str] = []
        with contextlib.suppress(_Cut, _Break, _Continue):
            _Renderer(values, cut=cut).run(self.nodes, values, out)
        return "".join(out)


def parse_template(text: str) -> Template:
    """The parsed text. Raises TemplateError, in Go's words, when it is not a template."""
    nodes = _Parser(text).parse()
    names = frozenset(re.findall(r"\.(\w+)", " ".join(re.findall(r"\{\{.*?\}\}", text, re.DOTALL))))
    if not names & {"Messages", "Response"}:
        nodes.append(Node("action", tokens=[("path", ".Response")]))
    return Template(nodes, names)


class _Parser:
    def __init__(self, text: str) -> None:
        self._pieces = list(_split(text))
        self._at = 0

    def parse(self) -> list[Node]:
        nodes, ended = self._read_nodes()
        if ended:
            raise TemplateError(f"template: :{self._pieces[self._at - 1][2]}: unexpected {{{{{ended}}}}}")
        return nodes

    def _read_nodes(self) -> tuple[list[Node], str]:
        """Nodes up to `end`, `else …` or the end of the text, and which of these it was."""
        nodes: list[Node] = []
        while self._at < len(self._pieces):
            kind, text, line = self._pieces[self._at]
            self._at += 1
            word = text.split(maxsplit=1)[0] if text.split() else ""
            if kind == "text":
                nodes.append(Node("text", text))
            elif word in ("end", "else"):
                return nodes, text
            elif word in _BLOCKS:
                nodes.append(self._read_block(word, text[len(word) :], line))
            else:
                nodes.append(Node("action", tokens=_scan(text, line)))
        return nodes, ""

    def _read_block(self, word: str, condition: str, line: int) -> Node:
        if not condition.strip():
            raise TemplateError(f"template: :{line}: missing value for {word}")
        node = Node(word, tokens=_scan(condition, line))
        node.body, ended = self._read_nodes()
        if ended.startswith("else"):
            inner = ended[4:].strip()
            if inner:
                name = inner.split(maxsplit=1)[0]
                node.otherwise = [self._read_block(name, inner[len(name) :], line)]
                return node
            node.otherwise, ended = self._read_nodes()
        if not ended:
            raise TemplateError(f"template: :{self._pieces[-1][2]}: unexpected EOF")
        return node


def _split(text: str) -> list[tuple[str, str, int]]:
    """Texts and actions with their line numbers, trimmed as their marks say, without comments."""
    pieces: list[tuple[str, str, int]] = []
    at, trim = 0, False
    for found in _ACTION.finditer(text):
        before = text[at : found.start()]
        _refuse_unclosed(before, text, at)
        before = before.lstrip() if trim else before
        before = before.rstrip() if found[1] else before
        line = text.count("\n", 0, found.start()) + 1
        if before:
            pieces.append(("text", before, line))
        inner = found[2].strip()
        if not inner.startswith("/*"):
            if not inner:
                raise TemplateError(f"template: :{line}: missing value for command")
            pieces.append(("action", inner, line))
        at, trim = found.end(), bool(found[3])
    _refuse_unclosed(text[at:], text, at)
    rest = text[at:].lstrip() if trim else text[at:]
    return [*pieces, ("text", rest, text.count("\n") + 1)] if rest else pieces


def _refuse_unclosed(piece: str, text: str, at: int) -> None:
    if "{{" in piece:
        raise TemplateError(f"template: :{text.count(chr(10), 0, at + piece.index('{{')) + 1}: unclosed action")


def _scan(text: str, line: int) -> list[tuple[str, str]]:
    tokens, at, text = [], 0, text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.end() == at:
            sign = text[at:].lstrip()[:1]
            raise TemplateError(f"template: :{line}: unexpected {sign!r} in command")
        kind = str(found.lastgroup)
        if kind == "word" and found[kind] not in {*_FUNCTIONS, "true", "false", "nil", "break", "continue"}:
            raise TemplateError(f'template: :{line}: function "{found[kind]}" not defined')
        # `(…).Name` is a field of the value in parentheses; `(…) .Name` is a second operand.
        is_field = kind == "path" and text[max(at - 1, 0) : at + 1] == ")."
        tokens.append(("field" if is_field else kind, found[kind]))
        at = found.end()
    depth = 0
    for _, sign in tokens:
        depth += {"(": 1, ")": -1}.get(sign, 0)
    if depth:
        raise TemplateError(f"template: :{line}: {'unclosed left paren' if depth > 0 else 'unexpected right paren'}")
    return tokens


class _Renderer:
    def __init__(self, root: dict[str, Any], *, cut: bool) -> None:
        self._cut = cut
        self._names: dict[str, Any] = {"$": root}

    def run(self, nodes: list[Node], dot: Any, out: list[str]) -> None:
        for node in nodes:
            answers = self._cut and any(kind == "path" and ".Response" in text for kind, text in node.tokens)
            if node.kind == "text":
                out.append(node.text)
            elif node.kind == "action":
                self._act(node, dot, out)
            elif not answers:
                self._run_block(node, dot, out)
            if answers:
                raise _Cut

    def _act(self, node: Node, dot: Any, out: list[str]) -> None:
        if node.tokens[0] == ("word", "break"):
            raise _Break
        if node.tokens[0] == ("word", "continue"):
            raise _Continue
        names, value = self._evaluate(node.tokens, dot)
        if not names:
            out.append(_print(value))

    def _run_block(self, node: Node, dot: Any, out: list[str]) -> None:
        names, value = self._evaluate(node.tokens, dot)
        if not value:
            self.run(node.otherwise, dot, out)
        elif node.kind == "if":
            self.run(node.body, dot, out)
        elif node.kind == "with":
            self.run(node.body, value, out)
        else:
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in items:
                self._names.update(zip(names, (key, item) if len(names) > 1 else (item,), strict=False))
                try:
                    self.run(node.body, item, out)
                except _Continue:
                    continue
                except _Break:
                    break

    def _evaluate(self, tokens: list[tuple[str, str]], dot: Any) -> tuple[list[str], Any]:
        """The variables that are set, if any, and the value of the pipeline."""
        names: list[str] = []
        signs = [text for kind, text in tokens if kind == "sign"]
        if ":=" in signs or "=" in signs:
            at = next(i for i, token in enumerate(tokens) if token in (("sign", ":="), ("sign", "=")))
            names = [text for kind, text in tokens[:at] if kind == "path"]
            tokens = tokens[at + 1 :]
        value = self._pipe(list(tokens), dot)
        if len(names) == 1:
            self._names[names[0]] = value
        return names, value

    def _pipe(self, tokens: list[tuple[str, str]], dot: Any) -> Any:
        """The value of a pipeline. Takes its tokens off the list, up to a closing parenthesis."""
        piped: list[Any] = []
        while True:
            command = self._command(tokens, dot)
            call = command[0] if command and callable(command[0]) else None
            value = call(*command[1:], *piped) if call else (command or [None])[0]
            if not tokens or tokens.pop(0)[1] != "|":
                return value
            piped = [value]

    def _command(self, tokens: list[tuple[str, str]], dot: Any) -> list[Any]:
        operands: list[Any] = []
        while tokens and tokens[0][1] not in ("|", ")"):
            kind, text = tokens.pop(0)
            if text == "(":
                value = self._pipe(tokens, dot)
                is_field_next = tokens and tokens[0][0] == "field"
                operands.append(self._look_up(tokens.pop(0)[1], value) if is_field_next else value)
            elif kind == "text":
                operands.append(text[1:-1] if text[0] == "`" else json.loads(text))
            elif kind == "number":
                operands.append(float(text) if "." in text else int(text))
            elif kind == "path":
                operands.append(self._look_up(text, dot))
            else:
                operands.append({"true": True, "false": False, "nil": None}.get(text, _FUNCTIONS.get(text)))
        return operands

    def _look_up(self, path: str, dot: Any) -> Any:
        first, *rest = path.split(".")
        value = self._names.get(first) if first else dot
        for name in filter(None, rest):
            value = value.get(name) if isinstance(value, dict) else None
        return value


def _print(value: Any) -> str:
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = value[key]
    return value


def _printf(text: str, *values: Any) -> str:
    return re.sub(r"%[vqsd]", "%s", text) % tuple(map(_print, values))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": lambda *values: next((value for value in values if not value), values[-1]),
    "or": lambda *values: next((value for value in values if value), values[-1]),
    "not": lambda value: not value,
    "eq": lambda first, *rest: any(first == value for value in rest),
    "ne": lambda one, other: one != other,
    "lt": lambda one, other: one < other,
    "le": lambda one, other: one <= other,
    "gt": lambda one, other: one > other,
    "ge": lambda one, other: one >= other,
    "len": lambda value: len(value or ()),
    "index": _index,
    "slice": lambda value, start=None, end=None: value[start:end],
    "print": lambda *values: "".join(map(_print, values)),
    "printf": _printf,
    "json": lambda value: json.dumps(value, separators=(",", ":")),
    "currentDate": lambda *_: datetime.now(UTC).date().isoformat(),
}
