"""Evaluation: candidate and active tag on the same held-out tasks, pair by pair, until the gate has a verdict."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, F, Q

from lealife.core.announce import announce
from lealife.core.digest import digest_value
from lealife.core.errors import GateRefused
from learning.models import CurriculumTask
from promotion.candidates.windows import move_window
from promotion.evaluation.arms import ArmInputs, ArmTools, find_freeze, run_arm
from promotion.evaluation.freezing import NO_TASKS, Frozen, choose_tasks, is_written, judge_by_answer
from promotion.evaluation.pair_work import claim_pair, clear_work, goes_first, keep_pair, release_pair, take_next_pair
from promotion.evaluation.repeatability import PROBES, measure_repeatability, name_apart, share_replies
from promotion.gate import rule
from promotion.gate.e_values import wins_needed
from promotion.gate.error_budget import next_alpha, split_alpha
from promotion.gate.pairs import ArmErrors, Evidence, PairResult
from promotion.models import (
    Evaluation,
    EvaluationArm,
    EvaluationPair,
    EvaluationTask,
    ModelTag,
    PromotionWindow,
    Role,
)
from promotion.routing import read_routing
from training.models import RuntimeSettings
from training.runtime_settings import read_settings

State = PromotionWindow.State
# The settings that choose the browser.
ENGINE = ("browser_engine", "browser_headful", "browser_autostart")
LIMITS = ("default_pages_target", "controller_max_calls", *ENGINE, "evaluation_pairs")
HALF = 32


def digest_limits(row: RuntimeSettings, *, beside: ModelTag) -> str:
    """The digests of an evaluation's limits and of the other role's tag `beside` both arms: 32 hex digits each."""
    limits = [getattr(row, name) for name in LIMITS]
    # The digest is that of the model; the recipe's also covers the ranker's weights and the support.
    return digest_value(limits)[:HALF] + digest_value([beside.digest, beside.recipe_digest])[:HALF]


def open_evaluation(*, window_id: int, candidate: ModelTag, frozen: Frozen, now: datetime) -> Evaluation:
    """Opens the evaluation of a candidate on the frozen tasks and memory, and today's limits: building → evaluating.

    Raises GateRefused when there are too few held-out tasks, or nothing is left of the error budget.
    """
    with transaction.atomic():
        evaluation = _open(candidate, frozen, window_id=window_id)
        move_window(window_id=window_id, expected=State.BUILDING, to=State.EVALUATING, now=now)
    return evaluation


def open_drill(*, candidate: ModelTag, frozen: Frozen) -> Evaluation:
    """Opens an evaluation of a tag whose quality is known, at the level that the next real candidate will get.

    A drill belongs to no window and spends no error budget: it only reads the level. Raises as `open_evaluation` does.
    """
    with transaction.atomic():
        return _open(candidate, frozen, drill=True)


def _open(candidate: ModelTag, frozen: Frozen, **belongs: Any) -> Evaluation:
    routing, row = read_routing(), read_settings()
    baseline = routing.of(candidate.role)
    number, alpha = _choose_level(row, tasks=len(frozen.tasks))
    evaluation = Evaluation.every.create(
        candidate=candidate,
        candidate_digest=candidate.digest,
        baseline=baseline,
        baseline_digest=baseline.digest,
        candidate_number=number,
        alpha=alpha,
        pair_budget=len(frozen.tasks),
        seed=0,
        freeze=find_freeze(memory_digest=frozen.digest),
        settings_digest=digest_limits(row, beside=routing.other(candidate.role)),
        **belongs,
    )
    EvaluationTask.objects.bulk_create(
        EvaluationTask(
            evaluation=evaluation,
            index=index,
            task=task,
            memories=frozen.memories[index],
            candidate_memories=frozen.candidate_memories[index] if frozen.candidate_memories else None,
        )
        for index, task in enumerate(frozen.tasks)
    )
    return evaluation


def check_judgeable() -> None:
    """Raises GateRefused when no candidate at all could be judged now. Called before one is made."""
    row = read_settings()
    tasks = choose_tasks(count=row.evaluation_pairs, seed=0)
    if not tasks:
        raise GateRefused(NO_TASKS)
    _choose_level(row, tasks=len(tasks))


def _choose_level(row: RuntimeSettings, *, tasks: int) -> tuple[int, float]:
    """The next candidate's number and alpha. Raises GateRefused, before alpha is spent, when it cannot be judged."""
    alphas = list(Evaluation.objects.order_by("id").values_list("alpha", flat=True))
    alpha = next_alpha(alphas=alphas, alpha_life=row.lifetime_alpha)
    if not alpha:
        given = f"{sum(alphas):.4f} of {row.lifetime_alpha:g} is spent"
        raise GateRefused(f"Nothing is left of the lifetime alpha: {given}.")
    # Nothing is decided sooner than "better" by a clean sweep.
    needed = wins_needed(0, 0, split_alpha(alpha).better)
    if needed > tasks:
        then = "let the curriculum read more pages" if tasks < row.evaluation_pairs else "raise Evaluation Pairs"
        raise GateRefused(f"{tasks} held-out tasks are too few for the {needed} wins a verdict needs: {then} first.")
    return len(alphas) + 1, alpha


def run_pairs(*, evaluation_id: int, tools: ArmTools, now: datetime) -> rule.Decision | None:
    """Runs one more pair and asks the gate; None when no slot is free, a shutdown has started, or other workers are
    running all the pairs that may run now.

    Any number of workers may call it for one evaluation at once. Safe to repeat after a crash at any point, because
    arms are stored under their inputs and pairs under their index.
    """
    evaluation = Evaluation.every.select_related("candidate", "baseline", "window").get(pk=evaluation_id)
    changed = find_changes(evaluation)
    if not changed and evaluation.verdict == Evaluation.Verdict.PENDING:
        # Use only the slots reserved for such work, so that runs for people always find one. The first worker alone
        # measures whether arms can be reused.
        is_measured = evaluation.repeats_differed is not None
        at_once = max(1, read_settings().reserved_control_slots) if is_measured else 1
        index = claim_pair(evaluation, worker=tools.worker, at_once=at_once, now=now)
        if index is not None and not _run_claimed(evaluation, index=index, tools=tools):
            return None
        if index is None and evaluation.pairs.count() < evaluation.pair_budget:
            # Other workers have the remaining pairs. A pair whose worker died after running it may still need counting.
            decision = settle_evaluation(evaluation_id=evaluation_id, changed=[], now=now)
            return None if decision.verdict is rule.Verdict.PENDING else decision
        # Changes during the pair count for this pair too.
        changed = find_changes(evaluation)
    return settle_evaluation(evaluation_id=evaluation_id, changed=changed, now=now)


def find_changes(evaluation: Evaluation) -> list[str]:
    """What changed since the evaluation opened. Any change makes it invalid."""
    changed, role, routing = [], evaluation.candidate.role, read_routing()
    was, now = evaluation.settings_digest, digest_limits(read_settings(), beside=routing.other(role))
    if now[:HALF] != was[:HALF]:
        changed.append("a limit in the runtime settings")
    if now[HALF:] != was[HALF:]:
        changed.append(f"the active {Role.TASK if role == Role.CONTROLLER else Role.CONTROLLER} tag")
    active = routing.of(role)
    if (active.pk, active.digest) != (evaluation.baseline_id, evaluation.baseline_digest):
        changed.append("the active tag")
    return changed


def arm_inputs(evaluation: Evaluation, task: EvaluationTask, *, tag: ModelTag, memory: bool = True) -> ArmInputs:
    """The inputs of one arm; without memory when the effect of memory is measured."""
    controller, standard = read_routing().put(tag).require()
    memories = task.candidate_memories if tag.pk == evaluation.candidate_id else None
    if memories is None:
        memories = task.memories
    return make_inputs(
        task.task,
        role=tag.role,
        controller=controller,
        standard=standard,
        memories=memories if memory else [],
        freeze_id=evaluation.freeze_id,
        seed=evaluation.seed,
    )


def make_inputs(
    task: CurriculumTask,
    *,
    role: str,
    controller: ModelTag,
    standard: ModelTag,
    memories: list[dict[str, Any]],
    freeze_id: int,
    seed: int = 0,
) -> ArmInputs:
    """The inputs of both tags on a held-out task, under today's limits; `role` is that of the tag which is judged."""
    row = read_settings()
    return ArmInputs(
        prompt=task.prompt,
        check_spec=judge_by_answer(task, role=role),
        host_id=task.host_id,
        pages_target=row.default_pages_target,
        max_calls=row.controller_max_calls,
        controller=controller,
        task=standard,
        memories=tuple(memories),
        freeze_id=freeze_id,
        seed=seed,
        engine=tuple(str(getattr(row, name)) for name in ENGINE),
        write_answer=is_written(task.check_spec, role=role),
    )


def _run_claimed(evaluation: Evaluation, *, index: int, tools: ArmTools) -> bool:
    tasks = evaluation.tasks.select_related("task")
    if evaluation.repeats_differed is None:
        probes = [arm_inputs(evaluation, task, tag=evaluation.baseline) for task in tasks.order_by("index")[:PROBES]]
        if not measure_repeatability(evaluation, inputs=probes, tools=tools):
            release_pair(evaluation, index=index, worker=tools.worker)
            return False
    task = tasks.get(index=index)
    shared = share_replies(tools, repeats_differed=evaluation.repeats_differed)
    order = (("candidate", evaluation.candidate), ("baseline", evaluation.baseline))
    arms: dict[str, EvaluationArm] = {}
    for name, tag in order if goes_first(evaluation, index=index) else reversed(order):
        apart = name_apart(evaluation, index=index, arm=name)
        arm = run_arm(arm_inputs(evaluation, task, tag=tag), tools=shared, apart=apart)
        if arm is None:
            release_pair(evaluation, index=index, worker=tools.worker)
            return False
        arms[name] = arm
    keep_pair(evaluation, index=index, candidate=arms["candidate"], baseline=arms["baseline"])
    return True


_VALID = ~Q(result=PairResult.INVALID)
_BOTH = Q(result=PairResult.TIE, candidate_arm__success=True)
_BASELINE_CALLS = F("baseline_arm__controller_calls")
PAIR_COUNTS = {
    "wins": Count("id", filter=Q(result=PairResult.WIN)),
    "losses": Count("id", filter=Q(result=PairResult.LOSS)),
    "ties": Count("id", filter=Q(result=PairResult.TIE)),
    "fewer_calls": Count("id", filter=_BOTH & Q(candidate_arm__controller_calls__lt=_BASELINE_CALLS)),
    "more_calls": Count("id", filter=_BOTH & Q(candidate_arm__controller_calls__gt=_BASELINE_CALLS)),
    "candidate": Count("id", filter=Q(candidate_arm__invalid=True)),
    "baseline": Count("id", filter=Q(baseline_arm__invalid=True)),
    "done": Count("id"),
    "candidate_successes": Count("id", filter=_VALID & Q(candidate_arm__success=True)),
    "baseline_successes": Count("id", filter=_VALID & Q(baseline_arm__success=True)),
}


def count_pairs(evaluation_id: int) -> dict[str, int]:
    """Everything that is counted over an evaluation's pairs. One query."""
    return EvaluationPair.objects.filter(evaluation_id=evaluation_id).aggregate(**PAIR_COUNTS)


def sum_evidence(counts: dict[str, int]) -> Evidence:
    """The counts as the gate takes them; pure."""
    return Evidence(*(counts[name] for name in ("wins", "losses", "ties", "fewer_calls", "more_calls")))


def decide_evaluation(
    evaluation: Evaluation, *, changed: list[str], counts: dict[str, int] | None = None
) -> rule.Decision:
    """The gate's decision on the evidence so far. A caller that has read the counts over the pairs passes them in."""
    counts = counts or count_pairs(evaluation.pk)
    return rule.decide(
        evidence=sum_evidence(counts),
        pair_budget=evaluation.pair_budget,
        pairs_done=counts["done"],
        alpha=evaluation.alpha,
        errors=ArmErrors(counts["candidate"], counts["baseline"]),
        changed=changed,
    )


def settle_evaluation(*, evaluation_id: int, changed: list[str], now: datetime) -> rule.Decision:
    """Counts finished pairs as evidence, in order, and stores the verdict and its consequences when there is one.

    The gate is asked after every pair, so that the verdict is the same as if one worker had run the pairs one by one.
    """
    with transaction.atomic():
        evaluation = (
            Evaluation.every.select_for_update(of=("self",)).select_related("window", "candidate").get(pk=evaluation_id)
        )
        decision = decide_evaluation(evaluation, changed=changed)
        if evaluation.verdict != Evaluation.Verdict.PENDING:
            clear_work(evaluation)
            return decision
        while decision.verdict is rule.Verdict.PENDING:
            if not take_next_pair(evaluation, index=evaluation.pair_budget - decision.pairs_left):
                break
            decision = decide_evaluation(evaluation, changed=changed)
        _write_decision(evaluation, decision, now=now)
        announce("promotion")
        return decision


def _write_decision(evaluation: Evaluation, decision: rule.Decision, *, now: datetime) -> None:
    counts = count_pairs(evaluation.pk)
    verdict = Evaluation.Verdict(str(decision.verdict))
    closed = verdict != Evaluation.Verdict.PENDING
    Evaluation.every.filter(pk=evaluation.pk).update(
        **asdict(sum_evidence(counts)),
        e_value=decision.e_value,
        e_cheaper=decision.e_cheaper,
        verdict=verdict,
        hypothesis=decision.hypothesis.value,
        reason=decision.reason,
        finished_at=now if closed else None,
    )
    clear_work(evaluation, below=None if closed else counts["done"])
    if closed and not evaluation.drill:
        _follow_verdict(evaluation, verdict=verdict, reason=decision.reason, now=now)


# Promote leads to a canary. Every other verdict closes the window, and the candidate is no longer one.
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
