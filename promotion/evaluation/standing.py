"""The candidate under evaluation, as pages and API show it, with the same statistic that decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import JSONObject

from promotion.evaluation.comparison import PAIR_COUNTS, decide_evaluation
from promotion.models import Canary, Evaluation, EvaluationPair


@dataclass(frozen=True, slots=True)
class CandidateView:
    """Evidence so far and what is still missing for a verdict."""

    evaluation_id: int
    tag: str
    role: str
    state: str
    verdict: str
    wins: int
    losses: int
    ties: int
    pairs: int
    pair_budget: int
    e_value: float
    threshold: float
    alpha: float
    candidate_successes: int
    baseline_successes: int
    canary: Canary | None
    missing: str
    summary: str


def read_candidate() -> CandidateView | None:
    """The open evaluation or canary, else the last one; None before the first."""
    evaluation: Any = select_counted().order_by("-id").first()
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
        wins=evaluation.wins,
        losses=evaluation.losses,
        ties=evaluation.ties,
        pairs=evaluation.pair_budget - decision.pairs_left,
        pair_budget=evaluation.pair_budget,
        e_value=decision.e_value,
        threshold=decision.threshold,
        alpha=evaluation.alpha,
        candidate_successes=counts["candidate_successes"],
        baseline_successes=counts["baseline_successes"],
        canary=getattr(evaluation, "canary", None),
        missing=describe_missing(decision.wins_needed, decision.pairs_left) if pending else "",
        # A closed one keeps its own reason: what made it invalid is not in the pairs.
        summary=decision.reason if pending else evaluation.reason,
    )


def select_counted() -> QuerySet[Evaluation]:
    """Evaluations with their window, canary and the counts of their pairs."""
    pairs = EvaluationPair.objects.filter(evaluation=OuterRef("pk")).order_by().values("evaluation")
    counted = pairs.annotate(counts=JSONObject(**PAIR_COUNTS)).values("counts")
    evaluations = Evaluation.objects.select_related("candidate", "window", "canary")
    return evaluations.annotate(counted=Subquery(counted))


def describe_missing(wins_needed: int, pairs_left: int) -> str:
    """What is still missing for a promotion, in one sentence."""
    needed = f"{wins_needed} more win{'' if wins_needed == 1 else 's'} in a row would promote"
    return f"{needed}; {pairs_left} pair{' is' if pairs_left == 1 else 's are'} left."
