"""Heading: what stands under a heading, asked with a part of it and with words of its text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lealife.core.digest import unit_interval
from learning.curriculum.claims import Claim
from learning.curriculum.kinds.how import read_imperative
from learning.curriculum.kinds.phrases import find_key_phrases
from learning.curriculum.kinds.proposals import PageText, Proposed, is_askable
from training.agent.reading.blocks import split_passages
from training.agent.reading.passages import Section
from training.agent.reading.words import content_parts, fold

HEADING_MOST, WORDS_MOST, TOPIC_LEAST = 60, 7, 2
FORMS = (
    "Can you explain {topic}, especially the {phrase}?",
    "What should I know about {topic}, in particular about the {phrase}?",
)
# Dates, releases, titles of two parts, and whole sentences.
_NO_TOPIC = re.compile(r"\d{4}|\d\.\d|[:;,!()\[\]]| [-—–] |(?i:\b(?:is|are|was|were|has|have|must|should)\b)")
_SAYS_LITTLE = re.compile(
    r"(?i)(?:other|others|more|some|further|additional|general|various|examples?|notes?|summary|introduction|overview|see"
    r"|related|miscellaneous|what's|what’s|new|changes|common|basic|advanced|simple)\b"
)
_WH_WORDS = ("how", "what", "when", "where", "which", "who", "why")


def propose_headings(page: PageText) -> Iterator[Proposed]:
    """Headings that are questions, as they are; others with a phrase that their text speaks of."""
    for section in page.sections:
        heading = section.headings[-1]
        passage = _choose_passage(section, page)
        if not passage or not is_askable(heading, most=HEADING_MOST):
            continue
        if heading.endswith("?"):
            question = heading.rpartition(": ")[2]
            if len(content_parts(question)) > 2 and question[0].isalpha():
                yield Proposed(prompt=question, passage=passage, claim=Claim(named=heading))
            continue
        topic = _read_topic(heading, page)
        phrases = find_key_phrases("\n".join(block.text for block in section.blocks), count=3)
        own = [phrase for phrase in phrases if not content_parts(phrase) & content_parts(topic)]
        if topic and own:
            number = 0 if topic.startswith(_WH_WORDS) else int(unit_interval("form", page.url, heading) * len(FORMS))
            yield Proposed(
                prompt=FORMS[number].format(topic=topic, phrase=own[0]),
                passage=passage,
                claim=Claim(named=heading, phrases=(topic, own[0])),
            )


def _read_topic(heading: str, page: PageText) -> str:
    """The heading as it stands in a sentence; empty when it is none of a subject, or one word that says little."""
    heading = heading.rstrip(". ")
    if _NO_TOPIC.search(heading) or _SAYS_LITTLE.match(heading) or not heading[:1].isalpha() or heading.isupper():
        return ""
    words = heading.split()
    if len(content_parts(heading)) < TOPIC_LEAST or len(words) > WORDS_MOST:
        return ""
    topic = page.lower_title(heading.removeprefix("About "))
    # Those say how something is done.
    return "" if topic.lower().startswith("how to ") or read_imperative(heading) else topic


def _choose_passage(section: Section, page: PageText) -> str:
    said = next((block.text for block in section.blocks if not block.term and not block.cells), "")
    passage = next(iter(split_passages(said)), "")
    return page.cut(passage) if fold(passage) != fold(section.headings[-1]) else ""
