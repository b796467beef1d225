"""The ledger of the lifetime error budget: each candidate's level and evidence, and what is left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from promotion.gate.error_budget import spent, split_alpha
from promotion.models import Evaluation
from training.models import RuntimeSettings
from training.runtime_settings import read_settings

# How many lines are shown; the sums are over all candidates.
SHOWN = 50


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """Candidate k: its level, its two e-values with what each must reach, and its verdict.

    `e_value` is the one for *better*, `e_cheaper` the one for *not worse and cheaper*; `hypothesis` is what
    promoted it.
    """

    k: int
    evaluation_id: int
    tag: str
    role: str
    alpha: float
    threshold: float
    e_value: float
    threshold_cheaper: float
    e_cheaper: float
    wins: int
    losses: int
    verdict: str
    hypothesis: str
    reason: str
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class ErrorBudget:
    """The budget as it stands. `expected_false_promotions` is an upper bound: it takes every candidate so far to be
    no better than its baseline. `lines` are the newest candidates, newest first.
    """

    alpha_life: float
    spent: float
    left: float
    spent_percent: float
    expected_false_promotions: float
    next_alpha: float
    candidates: int
    promoted: int
    rejected: int
    inconclusive: int
    invalid: int
    lines: tuple[LedgerLine, ...]
    sentence: str


def read_error_budget(*, row: RuntimeSettings | None = None) -> ErrorBudget:
    """The whole ledger. A caller that has read the settings passes them: two queries with them."""
    alpha_life = (row or read_settings()).lifetime_alpha
    given = list(Evaluation.objects.order_by("candidate_number", "id").values_list("alpha", "verdict"))
    count = {verdict: sum(found == verdict for _, found in given) for verdict in Evaluation.Verdict.values}
    total = spent(alphas=[alpha for alpha, _ in given], promotions=count["promote"], alpha_life=alpha_life)
    newest = Evaluation.objects.select_related("candidate").order_by("-candidate_number", "-id")[:SHOWN]
    return ErrorBudget(
        alpha_life=alpha_life,
        spent=total.spent,
        left=total.left,
        spent_percent=100 * min(1.0, total.spent / alpha_life),
        expected_false_promotions=total.expected_false_promotions,
        next_alpha=total.next_alpha,
        candidates=total.candidates,
        promoted=count["promote"],
        rejected=count["reject"],
        inconclusive=count["inconclusive"],
        invalid=count["invalid"],
        lines=tuple(_describe_line(evaluation) for evaluation in newest),
        sentence=total.reason,
    )


def _describe_line(evaluation: Evaluation) -> LedgerLine:
    levels = split_alpha(evaluation.alpha)
    return LedgerLine(
        k=evaluation.candidate_number,
        evaluation_id=evaluation.pk,
        tag=evaluation.candidate.name,
        role=evaluation.candidate.role,
        alpha=evaluation.alpha,
        threshold=1 / levels.better,
        e_value=evaluation.e_value,
        threshold_cheaper=1 / levels.cheaper,
        e_cheaper=evaluation.e_cheaper,
        wins=evaluation.wins,
        losses=evaluation.losses,
        verdict=evaluation.verdict,
        hypothesis=evaluation.hypothesis,
        reason=evaluation.reason,
        finished_at=evaluation.finished_at,
    )
