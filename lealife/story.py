"""The story of one promotion verdict: what was claimed, what was learned, what the gate decided, which tag serves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from lealife.pipeline.stages import arm_tools
from promotion.candidates.windows import name_counted
from promotion.evaluation.arms import run_arm
from promotion.evaluation.comparison import arm_inputs, count_pairs, decide_evaluation, sum_evidence
from promotion.evaluation.gain import read_gain, read_gains
from promotion.evaluation.standing import describe_hypotheses
from promotion.models import Canary, Evaluation, EvaluationArm, LiveApply, PromotionWindow
from promotion.proof.ledger import read_error_budget
from promotion.proof.served import read_served_proof
from promotion.recipe_words import describe_change
from promotion.recipes import Recipe
from training.counters import read_counters
from training.models import Run, TrainingCycle, TrainingOutcome
from training.runtime_settings import read_settings

# Number of tasks of the evaluation split that are run without and with memory.
MEASURED_TASKS = 30


@dataclass(frozen=True, slots=True)
class MemoryMeasure:
    """The same held-out tasks, tags and frozen pages, without and with memory."""

    measured_tasks: int
    success_rate_memory_off: float | None
    success_rate_memory_on: float | None
    calls_memory_off: float | None
    calls_memory_on: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Story(MemoryMeasure):
    """One verdict and what led to it. Rates are shares of 1; calls are means per task."""

    sources_claimed: int
    outcomes: int
    successes: int
    window: dict[str, Any]
    candidate: dict[str, Any]
    wins: int
    losses: int
    pairs: int
    fewer_calls: int
    more_calls: int
    hypotheses: list[dict[str, Any]]
    verdict: str
    hypothesis: str
    reason: str
    canary: dict[str, Any] | None
    applied: dict[str, Any] | None
    served_digest_ok: bool | None
    served_digest: str
    seconds: float
    ledger: dict[str, Any]
    reserve: list[dict[str, Any]]


def find_verdict(*, since: datetime) -> Evaluation | None:
    """The first evaluation that got its verdict after `since`."""
    decided = Evaluation.objects.select_related("candidate", "window", "baseline").exclude(verdict="pending")
    return decided.filter(finished_at__gte=since).order_by("finished_at").first()


def count_settled(*, since: datetime) -> int:
    """How many evaluations got their verdict after `since` and are complete, including any canary and apply."""
    decided = Evaluation.objects.exclude(verdict="pending").filter(finished_at__gte=since)
    return decided.filter(window__state__in=PromotionWindow.CLOSED).count()


def measure_memory(
    evaluation: Evaluation, *, progress: Callable[[int, int], None], wait: Callable[[], None]
) -> MemoryMeasure:
    """Runs the first held-out tasks of the evaluation without and with memory; arms already run are reused.

    A task with an arm that gave no evidence is left out.
    """
    tools = arm_tools()
    arms: dict[bool, list[EvaluationArm]] = {False: [], True: []}
    measured = 0
    tasks = list(evaluation.tasks.select_related("task").order_by("index")[:MEASURED_TASKS])
    for number, task in enumerate(tasks, start=1):
        both: dict[bool, EvaluationArm] = {}
        for memory in (True, False):
            inputs = arm_inputs(evaluation, task, tag=evaluation.baseline, memory=memory)
            while (arm := run_arm(inputs, tools=tools)) is None:
                wait()
            both[memory] = arm
        if not any(arm.invalid for arm in both.values()):
            measured += 1
            for memory, arm in both.items():
                arms[memory].append(arm)
        progress(number, len(tasks))
    return MemoryMeasure(
        measured_tasks=measured,
        success_rate_memory_off=_mean([float(arm.success) for arm in arms[False]]),
        success_rate_memory_on=_mean([float(arm.success) for arm in arms[True]]),
        calls_memory_off=_mean([float(arm.controller_calls) for arm in arms[False]]),
        calls_memory_on=_mean([float(arm.controller_calls) for arm in arms[True]]),
    )


def _read_newest_served(role: str) -> str:
    column = f"served_{role}_digest"
    live = TrainingOutcome.objects.filter(lane=Run.Lane.TRAINING).exclude(**{column: ""}).order_by("-id")
    return live.values_list(column, flat=True).first() or ""


def tell_story(evaluation: Evaluation, *, memory: MemoryMeasure, seconds: float) -> Story:
    """The story as the database has it now."""
    evaluation.refresh_from_db()
    counts, proof = read_counters(), read_served_proof()
    window = PromotionWindow.objects.get(pk=evaluation.window_id)
    canary = Canary.objects.filter(evaluation=evaluation).first()
    apply = LiveApply.objects.select_related("from_tag", "to_tag").filter(canary=canary).first() if canary else None
    controller = next(role for role in proof.roles if role.role == evaluation.candidate.role)
    recipe = Recipe.from_json(evaluation.candidate.recipe)
    return Story(
        sources_claimed=TrainingCycle.objects.count(),
        outcomes=counts["outcomes.total"],
        successes=counts["outcomes.success"],
        **asdict(memory),
        window={
            "number": window.number,
            "watermark": window.watermark,
            "size": window.size,
            "counted": name_counted(counts, row=read_settings()),
            "attempts": window.attempts,
            "state": window.state,
        },
        candidate={
            "tag": evaluation.candidate.name,
            "digest": evaluation.candidate_digest,
            "parent": evaluation.baseline.name,
            "lever": evaluation.candidate.lever,
            "why": evaluation.candidate.why,
            "change": describe_change(Recipe.from_json(evaluation.baseline.recipe), recipe),
            "exemplars": len(recipe.messages) // 2,
            "shortlist_size": recipe.shortlist_size,
        },
        wins=evaluation.wins,
        losses=evaluation.losses,
        pairs=evaluation.pairs.count(),
        fewer_calls=evaluation.fewer_calls,
        more_calls=evaluation.more_calls,
        hypotheses=_tell_hypotheses(evaluation),
        verdict=evaluation.verdict,
        hypothesis=evaluation.hypothesis,
        reason=evaluation.reason,
        canary=_tell_canary(canary) if canary else None,
        applied=_tell_apply(apply) if apply else None,
        served_digest_ok={"green": True, "red": False}.get(controller.state),
        served_digest=_read_newest_served(evaluation.candidate.role),
        seconds=round(seconds, 1),
        ledger=tell_ledger(),
        reserve=tell_reserve(),
    )


def tell_reserve() -> list[dict[str, Any]]:
    """What every measured live apply of this installation was worth, oldest first; shares of 1, calls a task."""
    gains = ((apply, read_gain(apply)) for apply in read_gains())
    return [{**_tell_apply(apply), **asdict(gain)} for apply, gain in gains if gain]


def tell_ledger() -> dict[str, Any]:
    """Every candidate of this installation, oldest first, and the windows refused before any run."""
    budget = read_error_budget()
    lines = [
        {
            "k": line.k,
            "tag": line.tag,
            "verdict": line.verdict,
            "hypothesis": line.hypothesis,
            "wins": line.wins,
            "losses": line.losses,
            "e_value": line.e_value,
            "needed": line.threshold,
            "e_cheaper": line.e_cheaper,
            "needed_cheaper": line.threshold_cheaper,
            "alpha": line.alpha,
            "reason": line.reason,
        }
        for line in reversed(budget.lines)
    ]
    return {
        "built": budget.candidates,
        "promoted": budget.promoted,
        "rejected": budget.rejected,
        "inconclusive": budget.inconclusive,
        "invalid": budget.invalid,
        "refused": PromotionWindow.objects.filter(state="rejected", evaluation=None).count(),
        "alpha_life": budget.alpha_life,
        "alpha_spent": budget.spent,
        "candidates": lines,
    }


def _tell_hypotheses(evaluation: Evaluation) -> list[dict[str, Any]]:
    counts = count_pairs(evaluation.pk)
    decision = decide_evaluation(evaluation, changed=[], counts=counts)
    lines = describe_hypotheses(sum_evidence(counts), decision, promoted_by=evaluation.hypothesis)
    return [asdict(line) for line in lines]


def _tell_canary(canary: Canary) -> dict[str, Any]:
    return {
        "state": canary.state,
        "share_percent": canary.share_percent,
        "candidate": [canary.candidate_successes, canary.candidate_observations],
        "baseline": [canary.baseline_successes, canary.baseline_observations],
        "reason": canary.reason,
    }


def _tell_apply(apply: LiveApply) -> dict[str, Any]:
    return {
        "from": apply.from_tag.name if apply.from_tag else "",
        "to": apply.to_tag.name,
        "to_digest": apply.to_digest,
        "at": apply.applied_at.isoformat(),
    }


def _mean(values: list[float]) -> float | None:
    return round(sum(values) / len(values), 3) if values else None
