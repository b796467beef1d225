"""Misleading pages: those whose answer to a question like this one was judged wrong.

Read from the verdicts themselves: the words of a question never become memory.
"""

from __future__ import annotations

from django.db.models import OuterRef, Subquery

from training.agent.reading.words import Question, content_words
from training.agent.web.address import canonical_url
from training.models import OperatorVerdict

# Share of the words of two questions above which they are worded alike.
ALIKE = 0.6
# The newest verdicts of a host that are looked at.
LOOKED_AT = 200
MISLED_WHY = "An answer from this page to a question like this was judged wrong."


def read_misled(*, host_id: int, question: Question) -> frozenset[str]:
    """The addresses of the host whose answers to questions worded alike were last judged wrong."""
    if not question.words:
        return frozenset()
    latest = OperatorVerdict.objects.filter(run=OuterRef("run")).order_by("-pk").values("pk")[:1]
    wrong = OperatorVerdict.objects.filter(run__host_id=host_id, right=False, pk=Subquery(latest)).order_by("-pk")
    return frozenset(
        canonical_url(quotes[0]["url"])
        for prompt, quotes in wrong.values_list("run__prompt", "run__quotes")[:LOOKED_AT]
        if quotes and _are_alike(content_words(prompt), question.words)
    )


def _are_alike(some: frozenset[str], others: frozenset[str]) -> bool:
    return len(some & others) > ALIKE * len(some | others)
