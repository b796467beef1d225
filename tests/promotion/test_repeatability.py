"""Repeatability: a server that does not answer twice the same has both arms run again for each pair."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from lealife.dashboard.live.snapshot import render_fragment, take_snapshot
from promotion.evaluation.arms import run_arm
from promotion.evaluation.comparison import arm_inputs, run_pairs
from promotion.evaluation.evidence import read_trial
from promotion.evaluation.repeatability import PROBES
from promotion.models import Evaluation, EvaluationArm
from promotion.proof.bundle_records import read_records
from tests.promotion.scenes import (
    Picker,
    Servers,
    change_settings,
    make_base_tags,
    make_candidate,
    make_tasks,
    make_tools,
    open_trial,
)
from tests.promotion.test_bundle import chain, verify
from training.agent.errors import AgentError, ErrorCode
from training.agent.model import Reply
from training.models import Host

PAIRS = 13


class Alternating(Picker):
    """Picks right, then wrong, then right again: asked the same, it answers another thing."""

    def __init__(self) -> None:
        super().__init__()
        self._picks = count()

    def chat(self, *, tag: str, messages: Sequence[dict[str, str]], schema: Any, **options: Any) -> Reply:
        if schema and "pick" in schema.get("properties", {}):
            self.clumsy = {tag} if next(self._picks) % 2 else set()
        return super().chat(tag=tag, messages=messages, schema=schema, **options)


@pytest.fixture
def evaluation(host: Host, servers: Servers) -> Evaluation:
    active, _ = make_base_tags(servers)
    make_tasks(host, PAIRS)
    change_settings(controller_max_calls=1, default_pages_target=2, evaluation_pairs=PAIRS)
    candidate = make_candidate(servers, active)
    return open_trial(candidate)


def run_two(evaluation: Evaluation, servers: Servers, model: Any) -> Evaluation:
    for _ in range(2):
        run_pairs(evaluation_id=evaluation.pk, tools=make_tools(servers, model), now=timezone.now())
    evaluation.refresh_from_db()
    return evaluation


def remember_baselines(evaluation: Evaluation, servers: Servers) -> set[int]:
    """The baseline's arms on all tasks, as an earlier evaluation left them."""
    arms = [
        run_arm(arm_inputs(evaluation, task, tag=evaluation.baseline), tools=make_tools(servers, Picker()))
        for task in evaluation.tasks.select_related("task")
    ]
    return {arm.pk for arm in arms if arm}


def test_a_server_that_repeats_itself_has_its_baselines_remembered(evaluation, servers):
    remembered = remember_baselines(evaluation, servers)
    run_two(evaluation, servers, Picker())
    assert evaluation.repeats_differed == 0
    assert set(evaluation.pairs.values_list("baseline_arm", flat=True)) <= remembered
    assert "kept and used again" in read_trial(evaluation.pk).repeatability


def test_a_server_that_does_not_has_a_fresh_baseline_for_each_pair(evaluation, servers):
    remembered = remember_baselines(evaluation, servers)
    run_two(evaluation, servers, Alternating())
    assert evaluation.repeats_differed
    fresh = set(evaluation.pairs.values_list("baseline_arm", flat=True))
    # Which arm the alternation makes clumsy depends on their order: a loss ends this short evaluation after one pair.
    assert len(fresh) == evaluation.pairs.count() >= 1 and not fresh & remembered
    said = "The answers of the model server are not repeatable"
    assert said in read_trial(evaluation.pk).repeatability
    page = take_snapshot(f"candidate-{evaluation.pk}", now=timezone.now())
    assert said in render_fragment(page, "terms")
    verify(chain(list(read_records())))


def test_the_measurement_costs_each_task_one_run_more_and_is_made_once(evaluation, servers):
    run_two(evaluation, servers, Picker())
    assert EvaluationArm.objects.count() == 2 * PROBES + 2 + max(0, 2 - PROBES)


def test_arms_in_which_the_model_broke_measure_nothing(evaluation, servers):
    def refuse(number: int) -> None:
        raise AgentError(ErrorCode.MODEL_UNAVAILABLE, "Nobody answers.")

    run_pairs(evaluation_id=evaluation.pk, tools=make_tools(servers, Picker(at_call=refuse)), now=timezone.now())
    evaluation.refresh_from_db()
    assert evaluation.repeats_differed is None
    assert read_trial(evaluation.pk).repeatability == ""
    assert run_two(evaluation, servers, Picker()).repeats_differed == 0


def test_what_was_measured_stands(evaluation, servers):
    run_two(evaluation, servers, Picker())
    with pytest.raises(DatabaseError), transaction.atomic():
        Evaluation.every.filter(pk=evaluation.pk).update(repeats_differed=2)
