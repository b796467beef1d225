"""The reserve: what a live apply was worth, measured on held-out tasks that decide nothing.

The tags before and after the apply do the same reserve tasks on the same frozen pages, with the same memory. Results
are unordered, so any number of workers may run tasks of one measurement at once.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any, cast

from django.db import transaction
from django.db.models import Count, F, Q, Sum
from django.utils import timezone

from lealife.core.announce import announce
from lealife.core.digest import digest_value, unit_interval
from lealife.core.session_locks import hold_session_lock
from learning.models import CurriculumTask
from promotion.evaluation.arms import ArmInputs, ArmTools, run_arm
from promotion.evaluation.comparison import make_inputs
from promotion.evaluation.freezing import choose_tasks, prepare_vectors, recall_for
from promotion.evaluation.gain import LEAST_FOR_CALLS, measure_error
from promotion.evaluation.repeatability import share_replies
from promotion.gate.pairs import judge_pair
from promotion.models import EvaluationArm, LiveApply, ModelTag, PageFreeze, ReserveMeasurement, Role
from promotion.models.reserve import ReservePair
from promotion.recipes import Recipe
from training.runtime_settings import read_settings

MOST = 120
# Of one page alone nothing follows for others: its error of success is the whole range.
WHOLE_RANGE = 1.0
State = ReserveMeasurement.State


def open_measurement(*, apply: LiveApply, beside: ModelTag) -> ReserveMeasurement:
    """Chooses the reserve tasks for an apply, within the apply's own transaction; `beside`: the other role's tag."""
    tasks = choose_tasks(count=MOST, seed=f"live apply {apply.pk}", split=CurriculumTask.Split.RESERVE)
    return ReserveMeasurement.objects.create(
        apply=apply,
        beside=beside,
        task_ids=[task.pk for task in tasks],
        freeze=PageFreeze.objects.create(memory_digest=digest_value(["live apply", apply.pk])),
    )


def is_measuring() -> bool:
    """Whether an apply is still to be measured."""
    return ReserveMeasurement.objects.filter(state=State.OPEN).exists()


def measure_next(*, tools: ArmTools) -> bool:
    """Runs one more task of the oldest open measurement, or closes it; False when nothing can be done now.

    As many workers as there are reserved control slots may run at once, each with tasks of its own. Safe to kill at any
    moment: a dead worker's lock is free, and its arms are stored under their inputs.
    """
    opened = ReserveMeasurement.objects.filter(state=State.OPEN).order_by("pk")
    measurement = opened.select_related(
        "apply__from_tag", "apply__to_tag", "apply__canary__evaluation", "beside"
    ).first()
    if measurement is None:
        return False
    left = _read_left(measurement)
    if not left or _find_next_switch(measurement.apply):
        _settle(measurement, pair=None, now=timezone.now())
        return True
    seats = max(1, read_settings().reserved_control_slots)
    for seat in range(seats):
        tasks = [task for task in left if measurement.task_ids.index(task.pk) % seats == seat]
        if not tasks:
            continue
        with hold_session_lock(f"reserve {measurement.pk}/{seat}") as held:
            if held:
                pair = _run_pair(measurement, tasks[0], tools=tools)
                if pair is not None:
                    _settle(measurement, pair=pair, now=timezone.now())
                return pair is not None
    return False


def _read_left(measurement: ReserveMeasurement) -> list[CurriculumTask]:
    """The chosen tasks that have not been run and can still be asked, in the order in which they were chosen."""
    chosen = CurriculumTask.objects.asked().filter(pk__in=measurement.task_ids, host__enabled=True)
    left = chosen.exclude(pk__in=measurement.pairs.values("task"))
    return sorted(left, key=lambda task: measurement.task_ids.index(task.pk))


def _find_next_switch(apply: LiveApply) -> LiveApply | None:
    return LiveApply.objects.filter(role=apply.role, pk__gt=apply.pk).order_by("pk").first()


def _run_pair(measurement: ReserveMeasurement, task: CurriculumTask, *, tools: ArmTools) -> ReservePair | None:
    """Both arms on one task, in a random order; None when one could not be run now."""
    canary = measurement.apply.canary
    tools = share_replies(tools, repeats_differed=canary.evaluation.repeats_differed if canary else None)
    inputs = _prepare_arms(measurement, task, tools=tools)
    arms: dict[str, EvaluationArm] = {}
    for name in sorted(inputs, reverse=unit_interval("order", measurement.pk, task.pk) < 0.5):
        arm = run_arm(inputs[name], tools=tools)
        if arm is None:
            return None
        arms[name] = arm
    result = judge_pair(candidate=arms["after"], baseline=arms["before"]).value
    return ReservePair(
        measurement=measurement, task=task, before_arm=arms["before"], after_arm=arms["after"], result=result
    )


def _prepare_arms(measurement: ReserveMeasurement, task: CurriculumTask, *, tools: ArmTools) -> dict[str, ArmInputs]:
    """The inputs of both arms: alike but for the tag, and for what its own ranker recalls of the same memory."""
    asked = prepare_vectors([task.prompt], embed=tools.embed)
    apply, inputs = measurement.apply, {}
    # The apply of a canary replaces a tag, always.
    for name, tag in (("before", cast(ModelTag, apply.from_tag)), ("after", apply.to_tag)):
        controller, standard = (tag, measurement.beside) if apply.role == Role.CONTROLLER else (measurement.beside, tag)
        inputs[name] = make_inputs(
            task,
            role=apply.role,
            controller=controller,
            standard=standard,
            memories=recall_for(task, weights=Recipe.from_json(controller.recipe).used_weights, embed=asked),
            freeze_id=measurement.freeze_id,
        )
    return inputs


def _settle(measurement: ReserveMeasurement, *, pair: ReservePair | None, now: datetime) -> None:
    """Adds the pair, counts all pairs, and closes the measurement when none is left or the role was switched again."""
    with transaction.atomic():
        locked = ReserveMeasurement.objects.select_for_update().get(pk=measurement.pk)
        if locked.state != State.OPEN:
            return
        if pair is not None:
            # When two workers ran it, the first one's arms are kept.
            ReservePair.objects.bulk_create([pair], ignore_conflicts=True)
        state, reason = State.OPEN, ""
        if not _read_left(locked):
            state = State.MEASURED
        elif switch := _find_next_switch(measurement.apply):
            state, reason = State.CUT, f"live apply {switch.pk} switched the {switch.role} tag first"
        closed_at = None if state == State.OPEN else now
        rows = ReserveMeasurement.objects.filter(pk=locked.pk)
        rows.update(**_count_pairs(locked), state=state, reason=reason, closed_at=closed_at)
        announce("promotion")


def _count_pairs(measurement: ReserveMeasurement) -> dict[str, float | None]:
    """Every figure over the pairs, by the measurement's columns."""
    valid = ~Q(result="invalid")
    before, after = F("before_arm__controller_calls"), F("after_arm__controller_calls")
    found = measurement.pairs.aggregate(
        done=Count("id"),
        wins=Count("id", filter=Q(result="win")),
        losses=Count("id", filter=Q(result="loss")),
        ties=Count("id", filter=Q(result="tie")),
        before_successes=Count("id", filter=valid & Q(before_arm__success=True)),
        before_calls=Sum(before, filter=valid, default=0),
        after_calls=Sum(after, filter=valid, default=0),
    )
    counted = measurement.pairs.filter(valid).annotate(calls=after - before)
    success, calls = defaultdict[Any, list[float]](list), defaultdict[Any, list[float]](list)
    for *page, result, difference in counted.values_list("task__host", "task__expected_url", "result", "calls"):
        success[*page].append({"win": 1, "loss": -1}.get(result, 0))
        calls[*page].append(difference)
    error = measure_error(success)
    return {
        **found,
        "success_error": WHOLE_RANGE if error is None else error,
        "calls_error": measure_error(calls) if len(calls) >= LEAST_FOR_CALLS else None,
    }
