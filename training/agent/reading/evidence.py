"""Evidence: the pages that a run has read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.agent.reading.page import ParsedPage, is_same_page


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page that was read in this run, its addresses (asked for and final), and the digest of its body."""

    page: ParsedPage
    addresses: frozenset[str]
    digest: str


def find_distinct(pages: Sequence[ReadPage]) -> list[ReadPage]:
    """The first reading of each page. Readings with the same content are one page, whatever the address and bytes."""
    readings: dict[str, ReadPage] = {}
    for evidence in pages:
        readings.setdefault(evidence.page.content_digest, evidence)
    distinct: list[ReadPage] = []
    for evidence in readings.values():
        if not any(is_same_page(evidence.page, other.page) for other in distinct):
            distinct.append(evidence)
    return distinct
