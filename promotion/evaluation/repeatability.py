"""Repeatability: whether the model servers give the same answer to the same question, and what may be shared then.

A stored arm replaces all later runs of it. If answers are not repeatable, an unlucky baseline result would be reused
for every later candidate and favour them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lealife.core.digest import digest_value
from promotion.evaluation.arms import ArmInputs, ArmTools, run_arm
from promotion.models import Evaluation, EvaluationArm
from training.agent.embedding import remember_vectors
from training.agent.model import Model, Reply
from training.models import Run

# How many tasks' baseline arms run twice before the first pair.
PROBES = 3


def measure_repeatability(evaluation: Evaluation, *, inputs: Sequence[ArmInputs], tools: ArmTools) -> bool:
    """Runs each arm twice and stores how many gave different results; False when one could not be run now.

    The first result may be a stored one, because stored results are what a new run must equal. Safe to repeat after a
    crash. An arm without evidence (the model broke) ends the measurement; if it was the first, the next pair measures
    again.
    """
    alike: list[bool] = []
    for number, probe in enumerate(inputs[:PROBES]):
        first = run_arm(probe, tools=tools)
        second = run_arm(probe, tools=tools, apart=f"{evaluation.pk}/probe {number}") if first else None
        if first is None or second is None:
            return False
        if first.invalid or second.invalid:
            break
        alike.append(_read_course(first) == _read_course(second))
    if alike:
        # When two workers measured at once, the first one's count is kept.
        unmeasured = Evaluation.every.filter(pk=evaluation.pk, repeats_differed=None)
        unmeasured.update(repeats_differed=alike.count(False))
        evaluation.refresh_from_db(fields=["repeats_differed"])
    return True


def name_apart(evaluation: Evaluation, *, index: int, arm: str) -> str:
    """A name that separates an arm of this pair from all others; empty when results of equal arms may be reused."""
    return "" if evaluation.repeats_differed == 0 else f"{evaluation.pk}/{index}/{arm}"


def describe_repeatability(differed: int | None) -> str:
    """The result of the measurement, in one or two sentences; empty before it was made."""
    if differed is None:
        return ""
    if not differed:
        return "Tasks that were run twice had the same result both times, so results are kept and used again."
    tasks = "1 task that was" if differed == 1 else f"{differed} tasks that were"
    return (
        f"The answers of the model server are not repeatable: {tasks} run twice had different results. "
        "So both arms run again for each pair, and no earlier result is used."
    )


class SharedModel:
    """A model that is asked each question once. An error is no reply: it is raised, and the next arm asks again.

    Arms often say the same to the same tag: a candidate that asks the controller less often still has the other role's
    model write from the same passages. The reply is then the same too, and costs nothing.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._replies: dict[str, Reply] = {}

    def chat(
        self, *, tag: str, messages: Sequence[dict[str, str]], schema: dict[str, Any] | None, **options: Any
    ) -> Reply:
        """See Model."""
        key = digest_value([tag, list(messages), schema, options])
        if key not in self._replies:
            self._replies[key] = self._model.chat(tag=tag, messages=messages, schema=schema, **options)
        return self._replies[key]


def share_replies(tools: ArmTools, *, repeats_differed: int | None) -> ArmTools:
    """The tools for both arms of one pair; unchanged unless the server is known to repeat itself."""
    if repeats_differed != 0:
        return tools
    embed = remember_vectors(tools.embed) if tools.embed is not None else None
    return replace(tools, model=SharedModel(tools.model), embed=embed)


def _read_course(arm: EvaluationArm) -> list[Any]:
    """What an arm did and answered, without how long it took."""
    # Read it from the database: the arm's own copy may be from before the run ended.
    run = Run.objects.get(pk=arm.run_id)
    steps = list(run.steps.order_by("index").values_list("url", "picked_by"))
    return [arm.success, arm.controller_calls, run.error_code, run.invalid_picks, run.answer, run.quotes, steps]
