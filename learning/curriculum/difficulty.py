"""Difficulty: how far words alone rank the page that answers a task."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, QuerySet

from learning.curriculum.models import CurriculumTask
from learning.index.models import HostIndex
from learning.index.search import search_passages
from learning.models import FrontierPage
from training.agent.ranking import Weights
from training.agent.reading.words import read_question

# Passages that are looked at, and the place of a page that has none among them.
LOOKED_AT, NOT_FOUND = 50, 51
# BM25, and nothing else.
WORDS_ALONE = Weights(bm25=1.0)
MEASURED_AT_ONCE = 20


def find_unmeasured() -> QuerySet[CurriculumTask]:
    """Tasks without a difficulty, of hosts that were read through and whose words were counted.

    A page that was asked for in vain is asked again for ever, so it is not waited for.
    """
    unread = FrontierPage.objects.filter(host=OuterRef("host"), state=FrontierPage.State.KNOWN, error_code="")
    counted = HostIndex.objects.filter(host=OuterRef("host"), counted_passages__gt=0)
    asked = CurriculumTask.objects.asked().filter(difficulty=None, host__enabled=True)
    return asked.filter(~Exists(unread), Exists(counted)).order_by("pk")


def measure_difficulties() -> int:
    tasks = list(find_unmeasured()[:MEASURED_AT_ONCE])
    for task in tasks:
        CurriculumTask.objects.filter(pk=task.pk).update(difficulty=rank_by_words(task))
    return len(tasks)


def rank_by_words(task: CurriculumTask) -> int:
    """The place of the task's page among the pages that BM25 finds, from 1; `NOT_FOUND` when it is none of them."""
    question = read_question(task.prompt)
    found = search_passages(host_id=task.host_id, question=question, weights=WORDS_ALONE, vector=None, limit=LOOKED_AT)
    pages = list(dict.fromkeys(each.url for each in found))
    return pages.index(task.expected_url) + 1 if task.expected_url in pages else NOT_FOUND
