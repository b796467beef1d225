"""Corrections: what people's verdicts say of the pages that answer questions like this one.

Read from the verdicts themselves: the words of a question never become memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db.models import OuterRef, Subquery

from training.agent.reading.words import Question, content_words, fold
from training.agent.web.address import canonical_url
from training.models import OperatorVerdict

# Share of the words of two questions above which they are worded alike.
ALIKE = 0.6
# The newest verdicts of a host that are looked at.
LOOKED_AT = 400
# Pages that a run is led to.
NAMED_MAX = 2
MISLED_WHY = "An answer from this page to a question like this was judged wrong."
NAMED_WHY = "A person named this page for a question like this."


@dataclass(frozen=True, slots=True)
class Place:
    """A page of a host and the words on it that answer; without words the page as such.

    `passage`: the quoted passage that holds the words. `is_same`: people said so of the very question that is asked.
    """

    url: str
    text: str = ""
    passage: str = ""
    is_same: bool = False

    def says_same(self, other: Place) -> bool:
        """Whether both mean the same words of one page; without words any of the page's are meant."""
        some, others = fold(self.text), fold(other.text)
        return self.url == other.url and (some in others or others in some)


@dataclass(slots=True)
class Corrections:
    """What was quoted where an answer was judged wrong, and the places that people named as right, newest first."""

    wrong: list[Place] = field(default_factory=list)
    named: list[Place] = field(default_factory=list)

    @property
    def misled(self) -> frozenset[str]:
        """The pages that are left for last."""
        return frozenset({place.url for place in self.wrong} - {place.url for place in self.named})


def read_quoted(quotes: Sequence[dict[str, Any]]) -> Place | None:
    """Where a run's best quote stands, and what in it answers; None without a quote."""
    if not quotes:
        return None
    best = quotes[0]
    try:
        url = canonical_url(str(best["url"]))
    except ValueError:
        return None
    return Place(url, str(best.get("highlight") or best["text"]), passage=str(best["text"]))


def read_corrections(*, host_id: int, question: Question) -> Corrections:
    """What the latest verdicts of the host's runs say of questions worded like this one.

    The newest verdict on a place counts, and one on the very question before one on a similar question. Words are
    named for the very question only: the same words need not answer a similar one.
    """
    found = Corrections()
    if not question.words:
        return found
    settled = set[str]()
    for asked, quotes, right, right_url, right_text in _read_alike(host_id=host_id, question=question):
        is_same = asked == fold(question.prompt)
        quoted = read_quoted(quotes)
        named = quoted if right else Place(right_url, right_text) if right_url else None
        if named is not None and asked not in settled:
            settled.add(asked)
            urls = {place.url for place in found.named}
            if not any(named.says_same(place) for place in found.wrong) and named.url not in urls:
                found.named.append(replace(named, is_same=True) if is_same else Place(named.url))
        if quoted is not None and not right:
            found.wrong.append(replace(quoted, is_same=is_same))
    del found.named[NAMED_MAX:]
    return found


def _read_alike(*, host_id: int, question: Question) -> Iterable[tuple[str, list[dict[str, Any]], bool, str, str]]:
    """Folded question, quotes and verdict; those on the very question first, then the newest first."""
    latest = OperatorVerdict.objects.filter(run=OuterRef("run")).order_by("-pk").values("pk")[:1]
    verdicts = OperatorVerdict.objects.filter(run__host_id=host_id, pk=Subquery(latest)).order_by("-pk")
    rows = verdicts.values_list("run__prompt", "run__quotes", "right", "right_url", "right_text")[:LOOKED_AT]
    alike = [(fold(row[0]), *row[1:]) for row in rows if _are_alike(content_words(row[0]), question.words)]
    return sorted(alike, key=lambda row: row[0] != fold(question.prompt))


def _are_alike(some: frozenset[str], others: frozenset[str]) -> bool:
    return len(some & others) > ALIKE * len(some | others)
