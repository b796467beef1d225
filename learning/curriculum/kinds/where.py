"""Where: two things of which one section speaks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from lealife.core.digest import unit_interval
from learning.curriculum.claims import Claim
from learning.curriculum.kinds.phrases import find_key_phrases
from learning.curriculum.kinds.proposals import PageText, Proposed
from training.agent.reading.blocks import split_passages
from training.agent.reading.passages import cut_passages
from training.agent.reading.words import fold

# Short enough that two of them share no eight words in a row, by which copies of held-out text are known.
FORMS = (
    "Where are the {first} and the {second} explained?",
    "Where do the {first} and the {second} come up?",
)


def propose_wheres(page: PageText) -> Iterator[Proposed]:
    """Two key phrases of one passage that are not in its headings."""
    for passage in cut_passages(page.parsed.sections):
        phrases = [
            phrase
            for phrase in find_key_phrases(passage.text, count=4)
            if fold(phrase) not in fold(f"{page.parsed.title} {passage.heading}")
        ]
        sentences = [sentence for line in passage.text.split("\n") for sentence in split_passages(line)]
        for first, second in combinations(phrases, 2):
            answer = page.cut(next((text for text in sentences if first in text), ""))
            if answer:
                form = FORMS[int(unit_interval("form", page.url, first, second) * len(FORMS))]
                prompt = form.format(first=first, second=second)
                yield Proposed(prompt=prompt, passage=answer, claim=Claim(phrases=(first, second)))
