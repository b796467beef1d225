"""How: how something is done, from headings of procedures and from sentences that begin with their aim."""

from __future__ import annotations

import re
from collections.abc import Iterator

from learning.curriculum.claims import Claim
from learning.curriculum.kinds.proposals import SIGNS, PageText, Proposed, is_askable, strip_numbering
from training.agent.reading.blocks import split_passages

AIM_LEAST, AIM_MOST, WORDS_LEAST = 12, 90, 3
# The line that says what a page is called and is for comes among the first.
NAMED_WITHIN = 40
# What people do with software, in its plain form. English only.
_VERBS_WORDS = (
    "abort access activate add adjust allow append apply archive attach avoid backup bind block browse build bundle "
    "calculate call cancel change check checkout choose clean clear clone close collect combine commit compare "
    "compile compress compute configure connect control convert copy count create customize deal debug decide declare "
    "decode define delete deploy detach detect determine disable discard display divide download drop edit embed "
    "enable encode encrypt enter enumerate erase escape establish evaluate examine exclude execute exit explore "
    "export express extend extract fetch filter find fix flush force format generate get give grant group handle hide "
    "implement import improve include increase inherit initialize insert inspect install integrate interpret invoke "
    "iterate join keep launch limit link list load locate lock log maintain make manage merge migrate modify monitor "
    "mount move name obtain omit open optimize organize override pack parse pass perform port prepare preserve "
    "prevent print process produce protect provide prune publish pull push query quit raise read rebase rebuild "
    "receive record recover reduce refer register reload remove rename replace report request reset resolve restore "
    "restrict retrieve return reuse revert rewrite rotate run save schedule search select send serialize serve set "
    "share shorten show sign simulate skip solve sort specify split squash start stop store submit subscribe suppress "
    "switch synchronize tag test trace track transfer translate trigger trim tune turn undo uninstall unlock unpack "
    "unset update upgrade upload use validate verify view visualize wait watch wrap write"
)
_VERBS = frozenset(_VERBS_WORDS.split())
# The last letter is doubled before "ing".
_DOUBLING_WORDS = "commit debug drop embed get log quit run set skip split stop submit tag trim unset wrap"
_DOUBLING = frozenset(_DOUBLING_WORDS.split())


def _name_gerund(verb: str) -> str:
    stem = verb[:-1] if verb.endswith("e") and not verb.endswith("ee") else verb
    return f"{stem}{stem[-1] if verb in _DOUBLING else ''}ing"


_GERUNDS = {_name_gerund(verb): verb for verb in _VERBS}
_HOW = re.compile(r"^(?:How to|How do I|How do you|How can I)\s+(?P<aim>.+?)\??$", re.IGNORECASE)
# "git-clone - Clone a repository", "struct — Interpret bytes".
_NAME_LINE = re.compile(r"^(?P<name>[\w.-]+)\s+[-–—]\s+(?P<aim>[A-Z].+)$")
_AIM_SENTENCE = re.compile(
    r"^(?:\w+, )?(?:If you want to|In order to|To) (?P<aim>[a-z][^,:;.()]+?)(?:, (?!and\b|or\b)|: )"
)
_ALSO = re.compile(r"\b(and|or) (\w+ing)\b")
# More than one thing, or the title of a book with its year.
_NO_AIM = re.compile(r",|\(\d")
# Words that point back to what the question does not have.
_POINTS_BACK = re.compile(
    r"\b(?:this|that|these|those|it|its|them|they|their|above|below|following|such|same|here|so|example|examples"
    r"|instead|other|others|one|each|section|chapter|page|document)\b",
    re.IGNORECASE,
)


def propose_hows(page: PageText) -> Iterator[Proposed]:
    """What the page is called after, its headings of procedures, and sentences “To …, do …”."""
    title = _drop_site(page.parsed.title)
    for text in (title, *page.parsed.text.split("\n")[:NAMED_WITHIN]):
        named = _NAME_LINE.match(text)
        # Lines that name other pages lead to them.
        if named and named["name"] in title and (aim := read_imperative(named["aim"])):
            yield from _ask(aim, words=text, claim=named["aim"], page=page)
    for section in page.sections:
        heading = section.headings[-1]
        aim = "" if heading.isupper() else _read_heading(heading)
        if aim and len(section.blocks[0].text) >= AIM_LEAST:
            yield from _ask(aim.rstrip(".:!"), words=heading, claim=heading, page=page)
    for section in page.parsed.sections:
        for block in section.blocks:
            if not block.cells:
                yield from _ask_sentences(block.text, page)


def _ask(aim: str, *, words: str, claim: str, page: PageText) -> Iterator[Proposed]:
    """`words`: where the aim stands on the page; `claim`: what a page that answers it would begin a line with."""
    passage = page.cut(words)
    aim = _ALSO.sub(lambda also: f"{also[1]} {_GERUNDS.get(also[2].lower(), also[2])}", page.lower_title(aim))
    if passage and _is_aim(aim) and not _ALSO.search(aim):
        yield Proposed(prompt=f"How do I {aim}?", passage=passage, claim=Claim(named=claim, phrases=(aim,)))


def _ask_sentences(text: str, page: PageText) -> Iterator[Proposed]:
    for sentence in split_passages(text):
        found = _AIM_SENTENCE.match(sentence)
        if not found or found["aim"].partition(" ")[0] not in _VERBS:
            continue
        aim, passage = found["aim"].strip(), page.cut(sentence)
        if passage and aim in passage and _is_aim(aim):
            yield Proposed(prompt=f"How do I {aim}?", passage=passage, claim=Claim(phrases=(aim,)))


def _read_heading(heading: str) -> str:
    """What a heading says how to do, with its verb in the plain form; empty when it is no such heading."""
    if found := _HOW.match(heading):
        first, _, rest = found["aim"].partition(" ")
        return f"{first.lower()} {rest}"
    first, _, rest = heading.partition(" ")
    verb = _GERUNDS.get(first.lower(), "")
    return f"{verb} {rest}" if verb and rest else read_imperative(heading)


def read_imperative(text: str) -> str:
    """What a text tells to do, its first word small; empty when it begins with none of the verbs."""
    first, _, rest = text.strip(SIGNS).rstrip(". ").partition(" ")
    return f"{first.lower()} {rest}" if first.lower() in _VERBS and rest else ""


def _is_aim(aim: str) -> bool:
    return (
        is_askable(aim, most=AIM_MOST)
        and len(aim) >= AIM_LEAST
        and len(aim.split()) >= WORDS_LEAST
        and not _POINTS_BACK.search(aim)
        and not _NO_AIM.search(aim)
    )


def _drop_site(text: str) -> str:
    """A title without the name of its site, which comes last."""
    parts = re.split(r"\s+[—–|]\s+", strip_numbering(text))
    return " — ".join(parts[:2]) if len(parts) > 2 else text
