"""The candidate under evaluation, as pages and API show it, with the same statistic that decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import OuterRef, Subquery
from django.db.models.functions import JSONObject

from promotion.evaluation.comparison import PAIR_COUNTS, decide_evaluation, sum_evidence
from promotion.gate.e_values import format_e_value
from promotion.gate.pairs import Evidence
from promotion.gate.rule import Decision, Hypothesis
from promotion.models import Canary, Evaluation, EvaluationPair


@dataclass(frozen=True, slots=True)
class HypothesisLine:
    """One hypothesis: what was counted for it, its e-value and what that must reach, and whether it promoted.

    The e-value of *not worse and cheaper* is the smaller of its two.
    """

    name: str
    score: str
    e_value: float
    threshold: float
    promoted: bool


@dataclass(frozen=True, slots=True)
class CandidateView:
    """Evidence so far and what is still missing for a verdict. `e_value` and `threshold` are those of *better*."""

    evaluation_id: int
    tag: str
    role: str
    state: str
    verdict: str
    hypothesis: str
    wins: int
    losses: int
    ties: int
    pairs: int
    pair_budget: int
    e_value: float
    threshold: float
    hypotheses: tuple[HypothesisLine, ...]
    candidate_successes: int
    baseline_successes: int
    canary: Canary | None
    missing: str
    summary: str


def read_candidate() -> CandidateView | None:
    """The open evaluation or canary, else the last one; None before the first."""
    pairs = EvaluationPair.objects.filter(evaluation=OuterRef("pk")).order_by().values("evaluation")
    counted = Subquery(pairs.annotate(counts=JSONObject(**PAIR_COUNTS)).values("counts"))
    evaluations = Evaluation.objects.select_related("candidate", "window", "canary").annotate(counted=counted)
    evaluation: Any = evaluations.order_by("-id").first()
    if evaluation is None:
        return None
    counts = evaluation.counted or dict.fromkeys(PAIR_COUNTS, 0)
    decision = decide_evaluation(evaluation, changed=[], counts=counts)
    pending = evaluation.verdict == Evaluation.Verdict.PENDING
    return CandidateView(
        evaluation_id=evaluation.pk,
        tag=evaluation.candidate.name,
        role=evaluation.candidate.role,
        state=evaluation.window.state,
        verdict=evaluation.verdict,
        hypothesis=evaluation.hypothesis,
        wins=evaluation.wins,
        losses=evaluation.losses,
        ties=evaluation.ties,
        pairs=evaluation.pair_budget - decision.pairs_left,
        pair_budget=evaluation.pair_budget,
        e_value=decision.e_value,
        threshold=decision.threshold,
        hypotheses=describe_hypotheses(sum_evidence(counts), decision, promoted_by=evaluation.hypothesis),
        candidate_successes=counts["candidate_successes"],
        baseline_successes=counts["baseline_successes"],
        canary=getattr(evaluation, "canary", None),
        missing=decision.missing if pending else "",
        # A closed one keeps its own reason: what made it invalid is not in the pairs.
        summary=decision.reason if pending else evaluation.reason,
    )


def describe_hypotheses(evidence: Evidence, decision: Decision, *, promoted_by: str) -> tuple[HypothesisLine, ...]:
    """Both hypotheses with their figures; `promoted_by` is the stored one, "" when none promoted. Pure."""
    not_worse, cheaper = format_e_value(decision.e_not_worse), format_e_value(decision.e_fewer_calls)
    return (
        HypothesisLine(
            name="Better answers",
            score=evidence.score,
            e_value=decision.e_value,
            threshold=decision.threshold,
            promoted=promoted_by == Hypothesis.BETTER,
        ),
        HypothesisLine(
            name="Not worse and cheaper",
            score=f"where both succeed, {evidence.calls}; e-value {not_worse} for not worse, {cheaper} for cheaper",
            e_value=decision.e_cheaper,
            threshold=decision.threshold_cheaper,
            promoted=promoted_by == Hypothesis.CHEAPER,
        ),
    )
