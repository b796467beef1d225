"""Repeatability: whether the model servers answer the same question twice alike, measured for each evaluation.

A remembered arm stands for all later runs of it. On a server that does not repeat itself an unlucky baseline would be
remembered for every later candidate, and favour them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from promotion.evaluation.arms import ArmInputs, ArmTools, run_arm
from promotion.models import Evaluation, EvaluationArm
from training.models import Run

# Tasks whose baseline arm is run once more before the first pair.
PROBES = 3


def measure_repeatability(evaluation: Evaluation, *, inputs: Sequence[ArmInputs], tools: ArmTools) -> bool:
    """Runs each arm twice and writes down how many went differently; False when one could not be run now.

    The first of the two may be a remembered one: that is what it must equal. Safe to repeat after a crash. An arm that
    says nothing (the model broke) ends the measurement; if it was the first, the next pair measures again.
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
        # Of two workers that measured at once the first one's count stands.
        unmeasured = Evaluation.every.filter(pk=evaluation.pk, repeats_differed=None)
        unmeasured.update(repeats_differed=alike.count(False))
        evaluation.refresh_from_db(fields=["repeats_differed"])
    return True


def name_apart(evaluation: Evaluation, *, index: int, arm: str) -> str:
    """What keeps an arm of this pair apart from all others; empty where equal arms may stand for each other."""
    return "" if evaluation.repeats_differed == 0 else f"{evaluation.pk}/{index}/{arm}"


def describe_repeatability(differed: int | None) -> str:
    """What the measurement found, in a sentence or two; empty before it was made."""
    if differed is None:
        return ""
    if not differed:
        return "Tasks that were run twice went the same way both times: results are remembered and used again."
    tasks = "1 task that was" if differed == 1 else f"{differed} tasks that were"
    return (
        f"The model server does not repeat itself: {tasks} run twice went differently. "
        "So both arms are run afresh for each pair, and no remembered result is used."
    )


def _read_course(arm: EvaluationArm) -> list[Any]:
    """What an arm did and said; how long it took is left out."""
    # As it was written: the arm's own copy may be from before the run ended.
    run = Run.objects.get(pk=arm.run_id)
    steps = list(run.steps.order_by("index").values_list("url", "picked_by"))
    return [arm.success, arm.controller_calls, run.error_code, run.invalid_picks, run.answer, run.quotes, steps]
