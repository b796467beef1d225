"""Held-out success: of the tags that serve now, next to the first that were measured."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from promotion.evaluation.held_out import LEAST_QUESTIONS, HeldOut, read_held_out
from promotion.models import Evaluation, EvaluationArm, EvaluationPair, ModelTag, PageFreeze
from promotion.routing import Routing
from tests.promotion.scenes import Servers, make_base_tags, make_candidate, make_window
from training.models import Host, Run

_numbers = count(1)


@pytest.fixture
def routing(db: None, servers: Servers) -> Routing:
    controller, task = make_base_tags(servers)
    return Routing(controller=controller, task=task)


def make_arm(host: Host, *, controller: str, task: str, success: bool, calls: int, invalid: bool) -> EvaluationArm:
    number = next(_numbers)
    run = Run.objects.create(
        lane="evaluation", status="succeeded" if success else "failed", host=host, prompt="Which page?",
        pages_target=1, max_calls=5, controller_tag=controller, task_tag=task,
    )  # fmt: skip
    return EvaluationArm.objects.create(
        inputs_digest=str(number), run=run, success=success, invalid=invalid, controller_calls=calls
    )


def evaluate(
    host: Host,
    routing: Routing,
    candidate: ModelTag,
    *,
    baseline: tuple[str, int],
    challenger: tuple[str, int],
    verdict: str = "promote",
    number: int = 1,
    invalid: int = 0,
) -> Evaluation:
    """An evaluation of the active controller against a candidate: each arm's results, a letter a pair, and calls."""
    assert routing.controller and routing.task
    results, calls = challenger
    evaluation = Evaluation.objects.create(
        window=make_window("rejected", number=number), candidate=candidate, candidate_digest=candidate.digest,
        baseline=routing.controller, baseline_digest=routing.controller.digest, candidate_number=number, alpha=0.01,
        pair_budget=60, seed=0, freeze=PageFreeze.objects.create(memory_digest=str(number)), settings_digest="s",
        verdict=verdict, ties=len(results) - invalid,
    )  # fmt: skip
    for index, (before, after) in enumerate(zip(baseline[0], results, strict=True)):
        is_invalid = index < invalid
        arms = {
            name: make_arm(
                host, controller=tag.name, task=routing.task.name, success=result == "+", calls=of, invalid=is_invalid
            )
            for name, tag, result, of in (
                ("candidate_arm", candidate, after, calls),
                ("baseline_arm", routing.controller, before, baseline[1]),
            )
        }
        result = "invalid" if is_invalid else "tie"
        EvaluationPair.objects.create(evaluation=evaluation, index=index, candidate_first=True, result=result, **arms)
    return evaluation


def read(routing: Routing) -> HeldOut:
    found = read_held_out(routing=routing)
    assert found is not None
    return found


def test_before_any_evaluation_nothing_is_measured(routing):
    assert read_held_out(routing=routing) is None
    assert read_held_out(routing=Routing(controller=None, task=None)) is None


def test_the_first_baseline_is_the_only_measure_while_its_tags_serve(host, servers, routing):
    candidate = make_candidate(servers, routing.controller)
    first = evaluate(
        host, routing, candidate, baseline=("+----", 4), challenger=("-----", 5), verdict="reject"
    )  # fmt: skip
    found = read(routing)
    assert found.before is None
    assert (found.now.questions, found.now.success, found.now.calls) == (5, 0.2, 4.0)
    assert found.now.at == first.started_at


def test_a_candidate_that_serves_now_is_measured_against_the_first_baseline(host, servers, routing):
    candidate = make_candidate(servers, routing.controller)
    evaluate(host, routing, candidate, baseline=("+----", 4), challenger=("++++-", 2))
    found = read(replace(routing, controller=candidate))
    assert found.before is not None
    assert (found.before.success, found.before.calls) == (0.2, 4.0)
    assert (found.now.success, found.now.calls) == (0.8, 2.0)


def test_the_newest_evaluation_of_the_serving_tags_counts_whichever_arm_they_were(host, servers, routing):
    second = make_candidate(servers, routing.controller, saying="second")
    third = make_candidate(servers, second, saying="third")
    evaluate(host, routing, second, baseline=("+----", 4), challenger=("++---", 3))
    now = replace(routing, controller=second)
    evaluate(host, now, third, baseline=("+++--", 2), challenger=("-----", 9), verdict="reject", number=2)
    found = read(now)
    assert found.before is not None
    assert (found.before.success, found.now.success, found.now.calls) == (0.2, 0.6, 2.0)
    # After a roll back the first tag serves again: it is measured by what it did then.
    assert read(routing).before is None


def test_an_arm_that_another_task_tag_answered_measures_nothing(host, servers, routing):
    candidate = make_candidate(servers, routing.controller)
    evaluate(host, routing, candidate, baseline=("+----", 4), challenger=("++++-", 2))
    other = ModelTag(pk=routing.task.pk, role="task", name="lealife-task:other")
    assert read_held_out(routing=Routing(controller=candidate, task=other)) is None


def test_open_evaluations_and_those_of_few_pairs_are_no_measure(host, servers, routing):
    candidate = make_candidate(servers, routing.controller)
    few = "+" * (LEAST_QUESTIONS - 1)
    evaluate(host, routing, candidate, baseline=(few, 1), challenger=(few, 1), verdict="invalid")
    evaluate(
        host, routing, candidate, baseline=("+++++", 1), challenger=("+++++", 1), verdict="pending", number=2
    )  # fmt: skip
    assert read_held_out(routing=routing) is None


def test_pairs_without_evidence_are_left_out(host, servers, routing):
    candidate = make_candidate(servers, routing.controller)
    evaluate(
        host, routing, candidate, baseline=("-++++++", 2), challenger=("-------", 2), verdict="reject", invalid=1
    )  # fmt: skip
    assert (read(routing).now.questions, read(routing).now.success) == (6, 1.0)


def test_it_costs_one_query(host, servers, routing, django_assert_num_queries):
    candidate = make_candidate(servers, routing.controller)
    evaluate(host, routing, candidate, baseline=("+----", 4), challenger=("++++-", 2))
    with django_assert_num_queries(1):
        read_held_out(routing=routing)
