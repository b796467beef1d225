"""Definition: what an option, a name or a term means, answered by its entry in a list of definitions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from learning.curriculum.claims import Claim
from learning.curriculum.kinds.proposals import SIGNS, PageText, Proposed, is_askable
from training.agent.reading.blocks import split_passages
from training.agent.reading.passages import Section
from training.agent.reading.text import squeeze

SAID_LEAST, SAID_MOST = 40, 200
TERM_MOST, TERM_WORDS, NAME_LEAST = 60, 5, 4
_OPTION = re.compile(r"(?<![\w-])(--[A-Za-z][\w-]*|-[A-Za-z0-9])(?![\w-])")
# "class collections.Counter([iterable])", "async asyncio.sleep(delay)", "random.seed(a=None)".
_KIND_WORDS = (
    r"(?:abstractmethod|abstract|async|awaitable|class|classmethod|coroutine|exception|final|function|method|property"
    r"|static|staticmethod)"
)
_SIGNATURE = re.compile(rf"^((?:{_KIND_WORDS}\s+)*)([A-Za-z_][\w.]*)\s*(\(|$|:|=)")
_CODE = re.compile(
    r"[\w.]*(?:[a-z0-9][._][A-Za-z*<]|[a-z][A-Z]|[A-Z]_)[\w.*<>-]*|[A-Z][A-Z0-9_]{3,}|[a-z]+(?:-[a-z]+)+"
)
# "The “total_changes” method", "PRAGMA busy_timeout; …", "sqlite3_step()".
_CODE_HEADING = re.compile(
    r"(?:The )?(?P<before>[A-Z]{3,} )?(?P<quote>[\"'“‘]?)(?P<name>[A-Za-z_][\w.-]*)[\"'”’]?(?P<call>\(\))?"
    r"(?P<after>(?: [A-Za-z]+){0,2})(?:;.*)?"
)
_CODE_NAME = re.compile(r"[a-z0-9A-Z][._][A-Za-z]|[a-z][A-Z]")
_GLOSSARY = re.compile(r"(?i)gloss|terminolog|definition|vocabular|\bterms\b")
_PLAIN_TERM = re.compile(r"[^\W\d_][^\W_]*(?:[ -][^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Term:
    """The name of an entry: as a question names it, with what it is, and as a page writes it where it is defined."""

    spoken: str
    named: str
    subject: str
    is_code: bool


def propose_definitions(page: PageText) -> Iterator[Proposed]:
    """Entries and headings that have a name that can be spoken, and whose text begins with a statement."""
    for section in page.sections:
        yield from _ask_heading(section, page)
    is_glossary = bool(_GLOSSARY.search(page.parsed.title))
    for entry in page.list_entries():
        term = read_term(entry.term, subject=page.subject)
        if term is not None and not (term.is_code or is_glossary or " " in term.named):
            # One plain word means one thing here and another thing there.
            continue
        said = next(iter(split_passages(entry.text)), "")
        if term is None or not SAID_LEAST <= len(said) <= SAID_MOST or entry.text.count(" ") < 6:
            continue
        passage = page.cut(f"{entry.term} {entry.text}")
        # What the passage has lost of the statement could not be checked.
        if said in passage:
            yield Proposed(
                prompt=_ask(term),
                passage=passage,
                claim=Claim(named=term.named, subject=term.subject),
                expected_text=said,
            )


def _ask_heading(section: Section, page: PageText) -> Iterator[Proposed]:
    heading = section.headings[-1]
    found = _CODE_HEADING.fullmatch(heading)
    said = next(iter(split_passages(section.blocks[0].text)), "")
    if (
        not found
        or not (found["quote"] or found["call"] or _CODE_NAME.search(found["name"]))
        or not SAID_LEAST <= len(said) <= SAID_MOST
    ):
        return
    name = f"{found['before'] or ''}{found['name']}{found['call'] or ''}{page.lower_title(found['after'])}"
    article = "the " if found["after"] else ""
    if len(found["name"]) >= NAME_LEAST and (passage := page.cut(said)):
        yield Proposed(
            prompt=f"What does {article}{name} do?" if found["call"] else f"What is {article}{name} for?",
            passage=passage,
            claim=Claim(named=heading.split(";")[0]),
            expected_text=passage,
        )


def _ask(term: Term) -> str:
    if term.spoken.startswith("the option "):
        return f"What does {term.spoken} do?"
    if "()" in term.spoken:
        return f"What does {term.spoken} do?"
    return f"What is {term.spoken} for?" if term.is_code else f"What is meant by {term.spoken}?"


def read_term(text: str, *, subject: str) -> Term | None:
    """The term of an entry; None when it has no name that a person would ask for.

    An option is asked for together with its command, which is the `subject` of its page; so it needs one.
    """
    text = squeeze(text).replace("[source]", "").strip(SIGNS)
    if text.startswith("-"):
        options = _OPTION.findall(text)
        option = next((each for each in options if each.startswith("--")), options[0] if options else "")
        return Term(f"the option {option} of {subject}", option, subject, True) if option and subject else None
    first = text.split("¶")[0].strip()
    signature = _SIGNATURE.match(first)
    if signature and (signature[3] == "(" or signature[1]):
        name = signature[2]
        if len(name) < NAME_LEAST or name.startswith("__"):
            return None
        if signature[3] == "(" and "." not in name and not signature[1]:
            # Many pages have a function of such a name.
            spoken = f"{name}() of {subject}" if "_" not in name else f"{name}()"
            return Term(spoken, name, subject if "_" not in name else "", True) if subject or "_" in name else None
        if "class" in signature[1].split():
            return Term(f"the class {name}", name, "", True)
        if "exception" in signature[1].split():
            return Term(f"the exception {name}", name, "", True)
        return Term(f"{name}()", name, "", True) if signature[3] == "(" else Term(name, name, "", True)
    if _CODE.fullmatch(first):
        return Term(first, first, "", True)
    is_short = is_askable(first, most=TERM_MOST) and len(first.split()) <= TERM_WORDS
    if (
        is_short
        and len(first) >= NAME_LEAST
        and sum(map(str.isalpha, first)) > len(first) * 0.7
        and _PLAIN_TERM.fullmatch(first)
    ):
        return Term(first, first, "", False)
    return None
