"""Evaluation: candidate and active tag on the same held-out tasks, pair by pair, until the gate has a verdict."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from django.db import transaction
from django.db.models import Count, Q

from lealife.lib.announce import announce
from lealife.lib.digest import digest_value, unit_interval
from lealife.lib.errors import GateRefused
from learning.models import CurriculumTask
from learning.recall import recall
from promotion import gate
from promotion.arms import ArmInputs, ArmTools, find_freeze, run_arm
from promotion.error_budget import alpha_for
from promotion.models import (
    Evaluation,
    EvaluationArm,
    EvaluationPair,
    EvaluationTask,
    ModelTag,
    PromotionWindow,
    Role,
)
from promotion.routing import Routing, read_routing
from promotion.windows import move_window
from training.models import RuntimeSettings
from training.runtime_settings import read_settings

State = PromotionWindow.State
Result = EvaluationPair.Result
LIMITS = ("default_pages_target", "controller_max_calls", "browser_engine", "evaluation_pairs")


def digest_limits(row: RuntimeSettings) -> str:
    """The limits an evaluation runs under; goalposts do not move."""
    return digest_value([getattr(row, name) for name in LIMITS])


def open_evaluation(*, window_id: int, candidate: ModelTag, now: datetime) -> Evaluation:
    """Freezes tasks, memory and limits and opens the evaluation: building → evaluating.

    Raises GateRefused when there are no held-out tasks to judge by.
    """
    row = read_settings()
    baseline = _active(read_routing(), candidate.role)
    tasks = choose_tasks(count=row.evaluation_pairs, seed=window_id)
    if not tasks:
        raise GateRefused("There are no held-out tasks to judge by: let the curriculum read more pages first.")
    memories = [[asdict(item) for item in recall(host_id=task.host_id, prompt=task.prompt)] for task in tasks]
    # Whatever their order: the same tasks with the same memory share their frozen pages and measured arms.
    frozen = digest_value(sorted([task.pk, items] for task, items in zip(tasks, memories, strict=True)))
    with transaction.atomic():
        number = Evaluation.objects.count() + 1
        evaluation = Evaluation.objects.create(
            window_id=window_id,
            candidate=candidate,
            candidate_digest=candidate.digest,
            baseline=baseline,
            baseline_digest=baseline.digest,
            candidate_number=number,
            alpha=alpha_for(k=number, alpha_life=row.lifetime_alpha),
            pair_budget=len(tasks),
            seed=0,
            freeze=find_freeze(memory_digest=frozen),
            settings_digest=digest_limits(row),
        )
        EvaluationTask.objects.bulk_create(
            EvaluationTask(evaluation=evaluation, index=index, task=task, memories=items)
            for index, (task, items) in enumerate(zip(tasks, memories, strict=True))
        )
        move_window(window_id=window_id, expected=State.BUILDING, to=State.EVALUATING, now=now)
    return evaluation


def choose_tasks(*, count: int, seed: int) -> list[CurriculumTask]:
    """Held-out tasks in an order that depends only on the seed; hosts that are disabled are left out."""
    tasks = CurriculumTask.objects.filter(split=CurriculumTask.Split.EVALUATION, ambiguous=False, host__enabled=True)
    return sorted(tasks, key=lambda task: unit_interval("task", seed, task.pk))[:count]


def run_pairs(*, evaluation_id: int, tools: ArmTools, now: datetime) -> gate.Decision | None:
    """Runs the next pair and asks the gate; None when a slot was missing or the work was told to stop.

    Safe to repeat after a crash at any point: arms are remembered by their inputs, pairs by their index.
    """
    evaluation = Evaluation.objects.select_related("candidate", "baseline", "window").get(pk=evaluation_id)
    changed = find_changes(evaluation)
    done = evaluation.pairs.count()
    if not changed and done < evaluation.pair_budget:
        task = evaluation.tasks.select_related("task").filter(index=done).first()
        if task is not None and not _run_pair(evaluation, task, tools=tools):
            return None
    return settle_evaluation(evaluation_id=evaluation_id, changed=changed, now=now)


def find_changes(evaluation: Evaluation) -> list[str]:
    """What moved since the evaluation opened."""
    changed = []
    if digest_limits(read_settings()) != evaluation.settings_digest:
        changed.append("a limit in the runtime settings")
    active = _active(read_routing(), evaluation.candidate.role)
    if active.pk != evaluation.baseline_id:
        changed.append("the active tag")
    return changed


def arm_inputs(evaluation: Evaluation, task: EvaluationTask, *, tag: ModelTag, memory: bool = True) -> ArmInputs:
    """The inputs of one arm; without memory for the measure of what memory is worth."""
    row, routing = read_settings(), read_routing()
    controller, standard = routing.require()
    if tag.role == Role.CONTROLLER:
        controller = tag
    else:
        standard = tag
    return ArmInputs(
        prompt=task.task.prompt,
        check_spec=task.task.check_spec,
        host_id=task.task.host_id,
        pages_target=row.default_pages_target,
        max_calls=row.controller_max_calls,
        controller=controller,
        task=standard,
        memories=tuple(task.memories) if memory else (),
        freeze_id=evaluation.freeze_id,
        seed=evaluation.seed,
    )


def _run_pair(evaluation: Evaluation, task: EvaluationTask, *, tools: ArmTools) -> bool:
    candidate_first = unit_interval("order", evaluation.pk, task.index) < 0.5
    order = (evaluation.candidate, evaluation.baseline)
    arms: dict[int, EvaluationArm] = {}
    for tag in order if candidate_first else reversed(order):
        arm = run_arm(arm_inputs(evaluation, task, tag=tag), tools=tools)
        if arm is None:
            return False
        arms[tag.pk] = arm
    candidate, baseline = arms[evaluation.candidate_id], arms[evaluation.baseline_id]
    EvaluationPair.objects.bulk_create(
        [
            EvaluationPair(
                evaluation=evaluation,
                index=task.index,
                candidate_arm=candidate,
                baseline_arm=baseline,
                candidate_first=candidate_first,
                result=gate.judge_pair(candidate=candidate, baseline=baseline).value,
            )
        ],
        ignore_conflicts=True,
    )
    return True


_VALID = ~Q(result=Result.INVALID)
PAIR_COUNTS = {
    "wins": Count("id", filter=Q(result=Result.WIN)),
    "losses": Count("id", filter=Q(result=Result.LOSS)),
    "ties": Count("id", filter=Q(result=Result.TIE)),
    "candidate": Count("id", filter=Q(candidate_arm__invalid=True)),
    "baseline": Count("id", filter=Q(baseline_arm__invalid=True)),
    "done": Count("id"),
    "candidate_successes": Count("id", filter=_VALID & Q(candidate_arm__success=True)),
    "baseline_successes": Count("id", filter=_VALID & Q(baseline_arm__success=True)),
}


def read_evidence(evaluation_id: int) -> tuple[gate.Evidence, gate.ArmErrors, int]:
    """Wins, losses and ties; pairs lost to each arm's errors; pairs done."""
    return sum_evidence(count_pairs(evaluation_id))


def count_pairs(evaluation_id: int) -> dict[str, int]:
    """Everything that is counted over an evaluation's pairs. One query."""
    return EvaluationPair.objects.filter(evaluation_id=evaluation_id).aggregate(**PAIR_COUNTS)


def sum_evidence(counts: dict[str, int]) -> tuple[gate.Evidence, gate.ArmErrors, int]:
    """The counts as the gate takes them; pure."""
    evidence = gate.Evidence(counts["wins"], counts["losses"], counts["ties"])
    return evidence, gate.ArmErrors(counts["candidate"], counts["baseline"]), counts["done"]


def decide_evaluation(
    evaluation: Evaluation, *, changed: list[str], counts: dict[str, int] | None = None
) -> gate.Decision:
    """The gate's word on the evidence so far; pass the counts over the pairs when they have been read."""
    evidence, errors, done = sum_evidence(counts or count_pairs(evaluation.pk))
    return gate.decide(
        evidence=evidence,
        pair_budget=evaluation.pair_budget,
        pairs_done=done,
        alpha=evaluation.alpha,
        errors=errors,
        changed=changed,
    )


def settle_evaluation(*, evaluation_id: int, changed: list[str], now: datetime) -> gate.Decision:
    """Writes the evidence so far and, when there is one, the verdict with what follows from it."""
    with transaction.atomic():
        evaluation = (
            Evaluation.objects.select_for_update(of=("self",))
            .select_related("window", "candidate")
            .get(pk=evaluation_id)
        )
        decision = decide_evaluation(evaluation, changed=changed)
        evidence, _, _ = read_evidence(evaluation_id)
        if evaluation.verdict != Evaluation.Verdict.PENDING:
            return decision
        verdict = Evaluation.Verdict(str(decision.verdict))
        Evaluation.objects.filter(pk=evaluation_id).update(
            wins=evidence.wins,
            losses=evidence.losses,
            ties=evidence.ties,
            e_value=decision.e_value,
            verdict=verdict,
            reason=decision.reason,
            finished_at=None if verdict == Evaluation.Verdict.PENDING else now,
        )
        if verdict != Evaluation.Verdict.PENDING:
            _follow_verdict(evaluation, verdict=verdict, reason=decision.reason, now=now)
        announce("promotion")
        return decision


# Promote leads to a canary; every other verdict closes the window and frees the candidate's place.
_AFTER = {
    Evaluation.Verdict.REJECT: State.REJECTED,
    Evaluation.Verdict.INCONCLUSIVE: State.INCONCLUSIVE,
    Evaluation.Verdict.INVALID: State.FAILED,
}


def _follow_verdict(evaluation: Evaluation, *, verdict: str, reason: str, now: datetime) -> None:
    if verdict == Evaluation.Verdict.PROMOTE:
        move_window(window_id=evaluation.window_id, expected=State.EVALUATING, to=State.CANARY, now=now, reason=reason)
        return
    ModelTag.objects.filter(pk=evaluation.candidate_id, status=ModelTag.Status.CANDIDATE).update(
        status=ModelTag.Status.REJECTED if verdict == Evaluation.Verdict.REJECT else ModelTag.Status.UNUSED
    )
    to = _AFTER[Evaluation.Verdict(verdict)]
    move_window(window_id=evaluation.window_id, expected=State.EVALUATING, to=to, now=now, reason=reason)


def _active(routing: Routing, role: str) -> ModelTag:
    controller, task = routing.require()
    return controller if role == Role.CONTROLLER else task
