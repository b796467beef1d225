"""Freezing: the held-out tasks of an evaluation, and the memory that its arms recall for each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import Count, Max

from lealife.core.digest import digest_value, unit_interval
from lealife.core.errors import GateRefused
from learning.curriculum.kinds.value import asks_for_value
from learning.models import CurriculumTask, MemoryItem
from learning.recall import recall
from promotion.models import Role
from promotion.recipes import Recipe
from promotion.routing import read_routing
from training.agent.embedding import Embed, remember_vectors
from training.agent.ranking import Weights
from training.agent.reading.words import read_question
from training.runtime_settings import read_settings

# In seconds. Training waits for the model meanwhile, and a worker's task may not take long.
MAKING_S = 120.0
NO_TASKS = "There are no held-out tasks to evaluate on. Let the curriculum read more pages first."
# The checks that look at the answer itself, not only at what its quotes say too.
ANSWER_CHECKS = frozenset({"json_schema", "pattern", "in_answer"})
Memories = tuple[list[dict[str, Any]], ...]


@dataclass(frozen=True, slots=True)
class Frozen:
    """The tasks of both arms, and the memory that is recalled for each.

    `candidate_memories`: what the candidate's own ranker recalls; None when both arms rank alike.
    """

    tasks: tuple[CurriculumTask, ...]
    memories: Memories
    candidate_memories: Memories | None
    digest: str


def freeze_inputs(*, candidate: Recipe, embed: Embed | None = None) -> Frozen:
    """Held-out tasks with the memory that each arm's ranker recalls. Raises GateRefused when there are no tasks.

    `embed` makes the vectors that recall needs; without it words alone are compared. It asks a model server, so this is
    not called within a transaction.
    """
    tasks = choose_tasks(count=read_settings().evaluation_pairs, seed=read_memory_seed())
    if not tasks:
        raise GateRefused(NO_TASKS)
    controller, _ = read_routing().require()
    weights = Recipe.from_json(controller.recipe).used_weights
    own = candidate.used_weights if candidate.role == Role.CONTROLLER else weights
    asked = prepare_vectors([task.prompt for task in tasks], embed=embed)
    memories, others = list[list[dict[str, Any]]](), list[list[dict[str, Any]]]()
    for task in tasks:
        # One after the other: in the background passages get vectors all the time.
        memories.append(recall_for(task, weights=weights, embed=asked))
        if own != weights:
            others.append(recall_for(task, weights=own, embed=asked))
    # Independent of order: the same tasks with the same memory share their frozen pages and stored arms.
    digest = digest_value(sorted([task.pk, items] for task, items in zip(tasks, memories, strict=True)))
    return Frozen(
        tasks=tuple(tasks),
        memories=tuple(memories),
        candidate_memories=None if own == weights else tuple(others),
        digest=digest,
    )


def prepare_vectors(prompts: Sequence[str], *, embed: Embed | None) -> Embed | None:
    """`embed` with the vectors of these questions at hand, and each text sent once; None where there are none.

    The questions are sent together: each call may wait for one that makes vectors of pages. So both arms of a pair get
    the vector of its question, or neither does. Those of passages, which a site lacks that is new, are made for
    `MAKING_S`; what then has none is compared by words, in both arms.
    """
    natural = list(dict.fromkeys(prompt for prompt in prompts if not read_question(prompt).phrases))
    if embed is None or not natural:
        return None
    make, until = embed, time.monotonic() + MAKING_S
    remembered = remember_vectors(lambda texts: make(texts) if time.monotonic() < until else ())
    return remembered if remembered(natural) else None


def recall_for(task: CurriculumTask, *, weights: Weights, embed: Embed | None) -> list[dict[str, Any]]:
    """What a ranker with these weights recalls for a held-out task; `embed` is what `prepare_vectors` gave."""
    # Of a case, a verdict would give the answer away.
    items = recall(host_id=task.host_id, prompt=task.prompt, weights=weights, embed=embed, told=frozenset())
    return [asdict(item) for item in items]


def choose_tasks(
    *, count: int, seed: int | str, split: CurriculumTask.Split = CurriculumTask.Split.EVALUATION
) -> list[CurriculumTask]:
    """Held-out tasks of enabled hosts in an order by the seed alone; of an evaluation people's cases first.

    Of each page one task is drawn before any page gives a second: tasks of one page tend to fail together, and pairs
    are counted as independent.
    """
    tasks = CurriculumTask.objects.asked().filter(split=split, host__enabled=True)
    first = CurriculumTask.Kind.PERSON if split == CurriculumTask.Split.EVALUATION else ""
    drawn = sorted(tasks, key=lambda task: unit_interval("task", seed, task.pk))
    of_page: Counter[tuple[int, str]] = Counter()
    turns: dict[int, int] = {}
    for task in drawn:
        page = (task.host_id, task.expected_url)
        turns[task.pk] = of_page[page]
        of_page[page] += 1
    return sorted(drawn, key=lambda task: (task.kind != first, turns[task.pk]))[:count]


def judge_by_answer(task: CurriculumTask, *, role: str) -> dict[str, Any]:
    """The check of a held-out task. Of a candidate for the task role the answer that is shown must say the value.

    The quotes next to it are not its writing. A refused reply counts by the quote that is shown in its place.
    """
    is_told = role == Role.TASK and asks_for_value(task.check_spec)
    return {**task.check_spec, "in_answer": True} if is_told else task.check_spec


def is_written(check_spec: Mapping[str, Any], *, role: str) -> bool:
    """Whether the arms of a candidate for this role write an answer: where the result may depend on it."""
    return role == Role.TASK or not check_spec.keys().isdisjoint(ANSWER_CHECKS)


def read_memory_seed() -> str:
    """The state of memory. While it does not change, the next candidate gets the tasks that are already measured."""
    counted = MemoryItem.objects.recallable().aggregate(count=Count("id"), newest=Max("id"))
    return f"{counted['count']}/{counted['newest'] or 0}"
