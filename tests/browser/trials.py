"""Promotion in the pictures' world: two live applies with what led to them, a rejection, an open evaluation."""

from __future__ import annotations

from datetime import datetime, timedelta

from lealife.core.digest import digest_value
from learning.models import CurriculumTask
from promotion.models import (
    Canary,
    Evaluation,
    EvaluationArm,
    EvaluationPair,
    EvaluationTask,
    LiveApply,
    PageFreeze,
    PromotionWindow,
)
from tests.browser.rows import PASSAGE, TOPICS, World, make_run, make_steps
from training.models import TrainingOutcome

SWITCHES, PAIRS = (90, 170), 22


def make_switches(world: World, outcomes: list[TrainingOutcome]) -> None:
    """Two live applies with what led to them, the windows that they closed, and a rejection."""
    make_windows(world)
    for number, place in enumerate(SWITCHES):
        before, after = world.controllers[number : number + 2]
        LiveApply.objects.create(
            role="controller",
            from_tag=before,
            from_digest=before.digest,
            to_tag=after,
            to_digest=after.digest,
            canary=make_canary(world, number=number + 1, at=outcomes[place].created_at),
            after_outcome_id=outcomes[place].pk,
            applied_by="gate",
            reason="The canary passed.",
            applied_at=outcomes[place].created_at,
        )


def make_canary(world: World, *, number: int, at: datetime) -> Canary:
    """The canary that candidate `number` passed, with the evaluation before it."""
    before, after = world.controllers[number - 1 : number + 1]
    evaluation = Evaluation.objects.create(
        window=PromotionWindow.objects.get(number=number),
        candidate=after,
        candidate_digest=after.digest,
        baseline=before,
        baseline_digest=before.digest,
        candidate_number=number,
        alpha=0.01 / number,
        pair_budget=60,
        seed=7,
        freeze=PageFreeze.objects.create(memory_digest=f"frozen {number}"),
        settings_digest="settings",
        verdict=Evaluation.Verdict.PROMOTE,
        hypothesis=Evaluation.Hypothesis.BETTER,
        reason="Better: 11 wins, 0 losses, 14 ties.",
        wins=11,
        ties=14,
        e_value=341.25,
        started_at=at - timedelta(minutes=45),
        finished_at=at - timedelta(minutes=30),
    )
    make_decided_pairs(world, evaluation)
    return Canary.objects.create(
        evaluation=evaluation,
        role="controller",
        share_percent=20,
        min_observations=20,
        deadline_at=at,
        first_outcome_id=0,
        state=Canary.State.PASSED,
        candidate_successes=17,
        candidate_observations=20,
        baseline_successes=61,
        baseline_observations=83,
        reason="The canary passed.",
        closed_at=at,
    )


def make_decided_pairs(world: World, evaluation: Evaluation) -> None:
    """Eleven wins and fourteen ties: the later the evaluation, the more ties succeed, in fewer calls."""
    solved = 11 + 5 * evaluation.candidate_number
    for index in range(25):
        is_win = index < 11
        arms = {}
        for arm in ("candidate", "baseline"):
            success = arm == "candidate" if is_win else index < solved
            arms[f"{arm}_arm"] = make_decided_arm(world, evaluation, arm=arm, index=index, success=success)
        result = "win" if is_win else "tie"
        EvaluationPair.objects.create(
            evaluation=evaluation, index=index, candidate_first=index % 2 == 0, result=result, **arms
        )


def make_decided_arm(world: World, evaluation: Evaluation, *, arm: str, index: int, success: bool) -> EvaluationArm:
    """One tag's run on one held-out task of an evaluation that is over."""
    calls = 5 - (evaluation.candidate_number + (arm == "candidate")) * (1 if index % 3 else 0)
    run = make_run(
        world,
        lane="evaluation",
        prompt=f"Which page says how {TOPICS[index % len(TOPICS)]} works?",
        host=world.hosts[0],
        at=evaluation.started_at,
        success=success,
        controller_tag=getattr(evaluation, arm).name,
        task_tag=world.task_tag.name,
        controller_calls=calls,
        pages=calls,
        answer_state="verified" if success else "",
        error_code="" if success else "no_route",
    )
    key = digest_value([arm, evaluation.pk, index])
    return EvaluationArm.objects.create(inputs_digest=key, run=run, success=success, controller_calls=calls)


def make_windows(world: World) -> None:
    """Two that ended in a live apply, one rejected, and the open one."""
    succeeded = TrainingOutcome.objects.filter(success=True).count()
    states = ("applied", "applied", "rejected", "evaluating")
    for number, state in enumerate(states, 1):
        PromotionWindow.objects.create(
            number=number,
            watermark=succeeded - 41 - 30 * (len(states) - number),
            size=30,
            attempts_before=0,
            attempts=48,
            state=state,
            reason="4 wins, 9 losses: the candidate is worse." if state == "rejected" else "",
            reached_at=world.now - timedelta(hours=len(states) - number, minutes=9),
            closed_at=None if state == "evaluating" else world.now - timedelta(hours=len(states) - number),
        )


def make_evaluation(world: World) -> None:
    """The evaluation of the open window, 22 pairs into its budget."""
    candidate, baseline = world.controllers[3], world.controllers[2]
    evaluation = Evaluation.objects.create(
        window=PromotionWindow.objects.get(state="evaluating"),
        candidate=candidate,
        candidate_digest=candidate.digest,
        baseline=baseline,
        baseline_digest=baseline.digest,
        candidate_number=4,
        alpha=0.005,
        pair_budget=60,
        seed=7,
        freeze=PageFreeze.objects.create(memory_digest="frozen"),
        settings_digest="settings",
        wins=9,
        losses=2,
        ties=11,
    )
    results = ["win"] * 9 + ["loss"] * 2 + ["tie"] * 11
    world.chance.shuffle(results)
    for index, result in enumerate(results[:PAIRS]):
        topic = TOPICS[index % len(TOPICS)]
        task = CurriculumTask.objects.create(
            host=world.hosts[0],
            split="evaluation",
            expected_url=f"{world.hosts[0].base_url}{index}.html",
            page_digest=digest_value(index),
            passage=PASSAGE,
            prompt=f"Which page says how {topic} works, case {index}?",
        )
        EvaluationTask.objects.create(evaluation=evaluation, index=index, task=task)
        arms = {arm: make_arm(world, task, arm=arm, result=result) for arm in ("candidate", "baseline")}
        EvaluationPair.objects.create(
            evaluation=evaluation,
            index=index,
            candidate_arm=arms["candidate"],
            baseline_arm=arms["baseline"],
            candidate_first=index % 2 == 0,
            result=result,
        )


def make_arm(world: World, task: CurriculumTask, *, arm: str, result: str) -> EvaluationArm:
    """One tag's run on one held-out task."""
    success = result == "tie" or (result == "win") == (arm == "candidate")
    tag = world.controllers[3 if arm == "candidate" else 2]
    run = make_run(
        world,
        lane="evaluation",
        prompt=task.prompt,
        host=task.host,
        at=world.now - timedelta(minutes=8),
        success=success,
        controller_tag=tag.name,
        controller_calls=2,
        pages=2,
        answer=PASSAGE if success else "",
        answer_state="verified" if success else "",
        error_code="" if success else "no_route",
    )
    make_steps(run, count=2)
    return EvaluationArm.objects.create(
        inputs_digest=digest_value([arm, task.pk]), run=run, success=success, controller_calls=2
    )
