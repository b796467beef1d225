"""Recorded training: the picks of past runs, and training tasks with what the site index finds for them.

By these a change is judged before any run, without a model. Nothing that is held out is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lealife.core.digest import unit_interval
from learning.curriculum.tasks import split_of
from learning.index.search import search_passages
from learning.models import CurriculumTask
from learning.recall import PASSAGES
from promotion.candidates.fitting import Case, Seen
from promotion.models import ModelTag
from training.agent.controller import ASKED, measure_margin
from training.agent.embedding import Embed, Vector
from training.agent.ranking import Weights
from training.agent.reading.words import read_question
from training.agent.trajectory import Choice
from training.models import Run, Step, TrainingOutcome

# How many of the newest outcomes, and how many training tasks, are looked at.
OUTCOMES, TASKS = 300, 150


@dataclass(frozen=True, slots=True)
class RecordedPick:
    """What a training run chose among two pages or more, and by what. `margin`: how far the first was ahead.

    `was_needed`: the model opened a right page, and the first of the shortlist was none.
    """

    prompt: str
    shortlist: tuple[Choice, ...]
    picked_by: str
    was_needed: bool

    @property
    def margin(self) -> float:
        """How far the ranker's first page was ahead of its second."""
        return measure_margin(self.shortlist)

    @property
    def was_asked(self) -> bool:
        """Whether the model was asked."""
        return self.picked_by in ASKED


def read_picks(tag: ModelTag) -> list[RecordedPick]:
    """The picks of the newest training runs that the controller tag served, newest first. Two queries."""
    outcomes = TrainingOutcome.objects.filter(lane=Run.Lane.TRAINING).order_by("-id")
    runs = list(outcomes.values_list("run", flat=True)[:OUTCOMES])
    steps = Step.objects.filter(run__in=runs, run__controller_tag=tag.name, picked_by__in=(*ASKED, "ranked"))
    return [_read_pick(step) for step in steps.select_related("run").order_by("-pk") if len(step.shortlist) > 1]


def _read_pick(step: Step) -> RecordedPick:
    first, opened = step.shortlist[0]["url"], {step.url, step.final_url}
    right = _read_right(step.run)
    return RecordedPick(
        prompt=step.run.prompt,
        shortlist=tuple(Choice(**choice) for choice in step.shortlist),
        picked_by=step.picked_by,
        was_needed=step.picked_by == "model" and first not in right | opened and not right.isdisjoint(opened),
    )


def _read_right(run: Run) -> set[str]:
    """The pages that the run's check expects; where it names none, those that a success quoted."""
    expected = run.check_spec.get("expected_urls")
    succeeded = run.status == Run.Status.SUCCEEDED
    return set(expected or ([quote["url"] for quote in run.quotes] if succeeded else []))


def read_cases(*, weights: Weights, embed: Embed | None = None) -> list[Case]:
    """Training tasks of enabled hosts with the passages found for each, in an order by the tasks alone.

    Questions in quotation marks are left out: their pages are found by the letter, whatever the weights are. `embed`
    makes the questions' vectors; it asks a model server, so this is not called within a transaction.
    """
    tasks = CurriculumTask.objects.asked().filter(split=CurriculumTask.Split.TRAIN, host__enabled=True)
    tasks = tasks.exclude(expected_url="")
    known = tasks.only("host_id", "prompt", "expected_url", "check_spec")
    natural = [task for task in known if not read_question(task.prompt).phrases]
    chosen = sorted(natural, key=lambda task: unit_interval("fit", task.pk))[:TASKS]
    # All questions are sent together: each call may wait for one that makes vectors of pages.
    vectors = embed([task.prompt for task in chosen]) if embed is not None else ()
    found: Sequence[Vector | None] = vectors or [None] * len(chosen)
    return [_read_case(task, weights=weights, vector=vector) for task, vector in zip(chosen, found, strict=True)]


def _read_case(task: CurriculumTask, *, weights: Weights, vector: Vector | None) -> Case:
    right = {task.expected_url, *task.check_spec.get("expected_urls", ())}
    passages = search_passages(
        host_id=task.host_id,
        question=read_question(task.prompt),
        weights=weights,
        vector=vector,
        limit=PASSAGES,
    )
    # Pages that are held out are no counter-examples either.
    seen = [each for each in passages if split_of(each.url) == CurriculumTask.Split.TRAIN]
    return Case(task.expected_url, tuple(Seen(each.url, each.features, each.url in right) for each in seen))
