"""Says: which page says this, word for word."""

from __future__ import annotations

from collections.abc import Iterator

from learning.curriculum.claims import Claim
from learning.curriculum.kinds.proposals import PageText, Proposed

PASSAGE_LEAST, PASSAGE_MOST = 40, 160


def propose_says(page: PageText) -> Iterator[Proposed]:
    """Passages that read like statements, as they stand on the page."""
    for passage in page.parsed.passages:
        if is_statement(passage):
            # Another page may hold the words within a longer paragraph.
            yield Proposed(prompt=f"Which page says “{passage}”?", passage=passage, claim=Claim(phrases=(passage,)))


def is_statement(passage: str) -> bool:
    """40 to 160 characters, six words or more, few signs, and nothing quoted in it."""
    if not PASSAGE_LEAST <= len(passage) <= PASSAGE_MOST:
        return False
    letters = sum(character.isalpha() or character == " " for character in passage)
    return letters / len(passage) > 0.85 and len(passage.split()) >= 6 and not set('“”"') & set(passage)
