"""Evaluation: both tags on the same frozen tasks, pair by pair and through crashes, to a verdict."""

from __future__ import annotations

import pytest
from django.contrib.postgres.search import SearchVector
from django.db import IntegrityError, transaction
from django.db.models import Value
from django.utils import timezone

from lealife.core.errors import Conflict, GateRefused
from learning.models import CurriculumTask, MemoryItem
from promotion.evaluation.arms import ArmTools, run_arm
from promotion.evaluation.comparison import arm_inputs, run_pairs, settle_evaluation
from promotion.evaluation.pair_work import goes_first
from promotion.evaluation.repeatability import PROBES
from promotion.evaluation.standing import read_candidate
from promotion.gate.error_budget import alpha_for
from promotion.gate.rule import Decision, Verdict
from promotion.models import Evaluation, EvaluationArm, EvaluationPair, ModelTag, PageFreeze
from tests.promotion.scenes import (
    Picker,
    Servers,
    change_settings,
    make_base_tags,
    make_candidate,
    make_promoted,
    make_tasks,
    make_tools,
    make_window,
    open_trial,
)
from training.agent.errors import AgentError, ErrorCode
from training.models import Host, Run

PAIRS = 13


@pytest.fixture
def tags(host: Host, servers: Servers) -> tuple[ModelTag, ModelTag]:
    """The active controller and a candidate for its place; one pick decides a task, of `PAIRS` held-out ones."""
    active, _ = make_base_tags(servers)
    make_tasks(host, PAIRS)
    change_settings(controller_max_calls=1, default_pages_target=2, evaluation_pairs=PAIRS)
    return active, make_candidate(servers, active)


@pytest.fixture
def evaluation(tags: tuple[ModelTag, ModelTag]) -> Evaluation:
    return open_trial(tags[1])


def run_to_verdict(evaluation: Evaluation, tools: ArmTools) -> Decision:
    for _ in range(PAIRS + 1):
        decision = run_pairs(evaluation_id=evaluation.pk, tools=tools, now=timezone.now())
        if decision is not None and decision.verdict is not Verdict.PENDING:
            return decision
    raise AssertionError("no verdict within the pair budget")


def run_some(evaluation: Evaluation, tools: ArmTools, *, pairs: int) -> None:
    for _ in range(pairs):
        run_pairs(evaluation_id=evaluation.pk, tools=tools, now=timezone.now())


# Opening freezes what is asked.


def test_opening_freezes_the_tasks_and_the_memory_both_arms_recall(tags, host):
    MemoryItem.objects.create(
        host=host, kind="page", key="k", status="trusted", url=f"{host.base_url}p01.html", text="It stands passage p01."
    )
    MemoryItem.objects.update(search=SearchVector(Value("stands passage p01"), config="english"))
    CurriculumTask.objects.update(prompt="Who says “stands passage p01”?")
    evaluation = open_trial(tags[1])
    before = list(evaluation.tasks.values_list("task_id", "memories"))
    assert all(memories for _, memories in before)
    MemoryItem.objects.all().delete()
    make_tasks(Host.objects.create(name="other", base_url="http://127.0.0.1:9/"), 1)
    assert list(evaluation.tasks.values_list("task_id", "memories")) == before


def test_opening_moves_the_window_and_takes_its_share_of_the_error_budget(evaluation):
    evaluation.window.refresh_from_db()
    assert evaluation.window.state == "evaluating"
    assert (evaluation.candidate_number, evaluation.pair_budget) == (1, PAIRS)
    assert evaluation.alpha == alpha_for(k=1)


def test_a_refused_opening_leaves_nothing(tags):
    with pytest.raises(Conflict):
        open_trial(tags[1], window=make_window("applied"))
    assert not Evaluation.objects.exists()
    assert not PageFreeze.objects.exists()


def test_without_held_out_tasks_there_is_nothing_to_judge_by(tags):
    CurriculumTask.objects.update(split="train")
    with pytest.raises(GateRefused, match="no held-out tasks"):
        open_trial(tags[1])
    assert not Evaluation.objects.exists()


# Pairs and verdicts.


def test_a_better_candidate_is_promoted_to_a_canary(evaluation, tags, servers):
    decision = run_to_verdict(evaluation, make_tools(servers, Picker(clumsy={tags[0].name})))
    evaluation.refresh_from_db()
    assert decision.verdict is Verdict.PROMOTE
    assert (evaluation.verdict, evaluation.losses, evaluation.ties) == ("promote", 0, 0)
    assert evaluation.e_value >= 1 / evaluation.alpha
    assert evaluation.window.state == "canary"
    assert evaluation.pairs.count() == evaluation.wins < PAIRS


def test_a_worse_candidate_is_rejected_and_the_window_closes(evaluation, tags, servers):
    run_to_verdict(evaluation, make_tools(servers, Picker(clumsy={tags[1].name})))
    evaluation.refresh_from_db()
    assert (evaluation.verdict, evaluation.wins, evaluation.window.state) == ("reject", 0, "rejected")
    assert evaluation.window.reason == evaluation.reason
    assert evaluation.candidate.status == "rejected"


def test_an_equal_candidate_is_never_promoted(evaluation, servers):
    decision = run_to_verdict(evaluation, make_tools(servers, Picker()))
    evaluation.refresh_from_db()
    assert decision.verdict in (Verdict.REJECT, Verdict.INCONCLUSIVE)
    assert evaluation.wins == evaluation.losses == 0
    assert evaluation.e_value == 1.0


def test_a_verdict_is_final(evaluation, tags, servers):
    tools = make_tools(servers, Picker(clumsy={tags[1].name}))
    run_to_verdict(evaluation, tools)
    evaluation.refresh_from_db()
    before = (evaluation.verdict, evaluation.finished_at, evaluation.pairs.count())
    settle_evaluation(evaluation_id=evaluation.pk, changed=["a limit"], now=timezone.now())
    evaluation.refresh_from_db()
    assert (evaluation.verdict, evaluation.finished_at, evaluation.pairs.count()) == before


def test_the_order_of_arms_is_drawn_for_each_two_pairs_reversed_in_the_second_and_kept(evaluation, servers):
    drawn = [goes_first(evaluation, index=index) for index in range(200)]
    assert drawn[1::2] == [not first for first in drawn[::2]]
    assert 25 < sum(drawn[::2]) < 75
    # After a third tie the candidate could not be promoted any more.
    run_some(evaluation, make_tools(servers, Picker()), pairs=2)
    assert list(evaluation.pairs.order_by("index").values_list("candidate_first", flat=True)) == drawn[:2]


def test_the_next_candidate_pays_only_for_its_own_arm(evaluation, tags, servers):
    baseline, other = tags[0], make_candidate(servers, tags[0], saying="another")
    for task in evaluation.tasks.select_related("task"):
        run_arm(arm_inputs(evaluation, task, tag=baseline), tools=make_tools(servers, Picker()))
    model = Picker()
    second = open_trial(other, window=make_window(number=2))
    # After a third tie the second candidate could not be promoted any more.
    run_some(second, make_tools(servers, model), pairs=2)
    assert second.pairs.count() == 2
    assert model.asked.count(other.name) == 2
    # Only to measure whether the server repeats itself.
    assert model.asked.count(baseline.name) == PROBES


# Crashes.


class PowerCut(BaseException):
    """The end of the process, which no handler of errors sees."""


@pytest.mark.parametrize("fatal", [1, 2, 3, 4, 5, 6])
def test_a_crash_at_any_call_loses_nothing_and_repeats_no_finished_arm(evaluation, servers, fatal):
    def crash(number: int) -> None:
        if number == fatal:
            raise PowerCut

    model = Picker(at_call=crash)
    with pytest.raises(PowerCut):
        run_some(evaluation, make_tools(servers, model), pairs=3)
    remembered = set(EvaluationArm.objects.values_list("pk", flat=True))
    run_some(evaluation, make_tools(servers, Picker()), pairs=3)
    # The lost run still holds its slot until its lease lapses; nothing else is left of it.
    assert Run.objects.open().count() == 1
    assert remembered <= set(EvaluationArm.objects.values_list("pk", flat=True))
    pairs = list(evaluation.pairs.values_list("index", flat=True))
    assert pairs == list(range(len(pairs)))
    assert EvaluationArm.objects.count() == 2 * len(pairs) + PROBES
    assert EvaluationPair.objects.filter(result="invalid").count() == 0


def test_a_pair_whose_arm_found_no_slot_is_done_later(evaluation, servers, host):
    change_settings(global_max_concurrent_runs=1)
    run = Run.objects.create(lane="standard", status="running", host=host, prompt="p", pages_target=1, max_calls=1)
    tools = make_tools(servers, Picker())
    assert run_pairs(evaluation_id=evaluation.pk, tools=tools, now=timezone.now()) is None
    assert not evaluation.pairs.exists()
    Run.objects.filter(pk=run.pk).update(status="succeeded")
    assert run_pairs(evaluation_id=evaluation.pk, tools=tools, now=timezone.now()) is not None
    assert evaluation.pairs.count() == 1


# What makes it invalid.


def test_another_tag_in_the_other_role_closes_it_as_invalid(evaluation, servers):
    tools = make_tools(servers, Picker())
    run_some(evaluation, tools, pairs=1)
    ModelTag.objects.filter(role="task", status="active").update(digest="sha256:another")
    decision = run_pairs(evaluation_id=evaluation.pk, tools=tools, now=timezone.now())
    assert (decision.verdict, decision.reason) == (
        Verdict.INVALID,
        "Changed during the evaluation: the active task tag.",
    )


def test_too_few_held_out_tasks_are_refused_before_anything_is_spent(host, servers):
    make_tasks(host, 5)
    candidate = make_candidate(servers, parent=make_base_tags(servers)[0])
    with pytest.raises(
        GateRefused, match="5 held-out tasks are too few for the 11 wins a verdict needs: let the curriculum read"
    ):
        open_trial(candidate, window=make_window(state="building"))
    assert not Evaluation.objects.exists()


def test_a_lifetime_alpha_that_is_spent_is_refused(host, servers):
    make_tasks(host, PAIRS)
    make_promoted(servers)
    change_settings(lifetime_alpha=0.01)
    candidate = make_candidate(servers, parent=ModelTag.objects.get(role="controller", status="active"))
    with pytest.raises(GateRefused, match=r"Nothing is left of the lifetime alpha: 0.0200 of 0.01 is spent"):
        open_trial(candidate, window=make_window(number=2, state="building"))


@pytest.mark.parametrize("change", [{"controller_max_calls": 2}, {"default_pages_target": 5}, {"evaluation_pairs": 4}])
def test_a_limit_changed_meanwhile_closes_it_as_invalid(evaluation, servers, change):
    tools = make_tools(servers, Picker())
    run_some(evaluation, tools, pairs=2)
    change_settings(**change)
    decision = run_pairs(evaluation_id=evaluation.pk, tools=tools, now=timezone.now())
    evaluation.refresh_from_db()
    assert decision.verdict is Verdict.INVALID
    assert (evaluation.verdict, evaluation.window.state, evaluation.candidate.status) == ("invalid", "failed", "unused")
    assert evaluation.pairs.count() == 2
    assert "a limit in the runtime settings" in evaluation.reason


def test_a_setting_that_is_no_limit_may_change(evaluation, servers):
    change_settings(loop_interval_s=9, canary_share_percent=50)
    assert run_pairs(evaluation_id=evaluation.pk, tools=make_tools(servers, Picker()), now=timezone.now()).verdict in (
        Verdict.PENDING,
        Verdict.REJECT,
    )


def test_an_active_tag_switched_meanwhile_closes_it_as_invalid(evaluation, tags, servers):
    other = make_candidate(servers, tags[0], saying="other")
    ModelTag.objects.filter(pk=tags[0].pk).update(status="retired")
    ModelTag.objects.filter(pk=other.pk).update(status="active")
    decision = run_pairs(evaluation_id=evaluation.pk, tools=make_tools(servers, Picker()), now=timezone.now())
    assert decision.verdict is Verdict.INVALID
    assert "the active tag" in decision.reason


def test_a_missing_model_makes_the_evaluation_invalid(evaluation, servers):
    def go_away(number: int) -> None:
        raise AgentError(ErrorCode.MODEL_UNAVAILABLE, "Nobody answers.")

    decision = run_to_verdict(evaluation, make_tools(servers, Picker(at_call=go_away)))
    evaluation.refresh_from_db()
    assert decision.verdict is Verdict.INVALID
    assert (evaluation.wins, evaluation.losses, evaluation.ties) == (0, 0, 0)
    assert set(evaluation.pairs.values_list("result", flat=True)) == {"invalid"}
    assert evaluation.window.state == "failed"


# What pages show of it.


def test_before_the_first_evaluation_there_is_no_candidate_to_show(db):
    assert read_candidate() is None


def test_the_view_says_what_is_still_missing(evaluation, tags, servers):
    run_some(evaluation, make_tools(servers, Picker(clumsy={tags[0].name})), pairs=2)
    view = read_candidate()
    assert (view.wins, view.losses, view.pairs, view.pair_budget) == (2, 0, 2, PAIRS)
    assert (view.candidate_successes, view.baseline_successes) == (2, 0)
    assert view.missing.endswith(f"{PAIRS - 2} pairs are left.")


def test_the_view_of_an_invalid_evaluation_gives_its_own_reason(evaluation, servers):
    change_settings(controller_max_calls=2)
    run_pairs(evaluation_id=evaluation.pk, tools=make_tools(servers, Picker()), now=timezone.now())
    view = read_candidate()
    assert (view.verdict, view.missing) == ("invalid", "")
    assert view.summary == "Changed during the evaluation: a limit in the runtime settings."


# Decided is decided.


@pytest.mark.parametrize("change", [{"verdict": "reject"}, {"reason": "because"}, {"wins": 9}])
def test_postgres_keeps_a_verdict_as_it_was_given(db, servers, change):
    promoted = make_promoted(servers)
    with pytest.raises(IntegrityError, match="is evidence"), transaction.atomic():
        Evaluation.objects.filter(pk=promoted.pk).update(**change)
    with pytest.raises(IntegrityError, match="is evidence"), transaction.atomic():
        promoted.delete()


@pytest.mark.parametrize("change", [{"alpha": 0.05}, {"candidate_number": 7}, {"candidate_digest": "another"}])
def test_postgres_keeps_what_an_open_evaluation_was_fixed_to(evaluation, change):
    with pytest.raises(IntegrityError, match="is evidence"), transaction.atomic():
        Evaluation.objects.filter(pk=evaluation.pk).update(**change)


def test_no_two_candidates_have_one_number(evaluation):
    again = Evaluation.objects.get(pk=evaluation.pk)
    again.pk, again._state.adding = None, True
    again.window = make_window(number=2)
    with pytest.raises(IntegrityError, match="one_candidate_per_number"), transaction.atomic():
        again.save()
