"""The ledger of the lifetime error budget: each candidate's level and evidence, and what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from promotion.gate.error_budget import next_alpha, split_alpha
from promotion.gate.pairs import say_count
from promotion.models import Evaluation
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


@dataclass(frozen=True, slots=True)
class ErrorBudget:
    """The budget as it stands. `lines` are the newest candidates, newest first.

    `spent` bounds the expected number of false promotions too, for each level bounds the chance of its own candidate:
    this takes every candidate so far to be no better than its baseline.
    """

    alpha_life: float
    spent: float
    spent_percent: float
    candidates: int
    promoted: int
    rejected: int
    inconclusive: int
    invalid: int
    lines: tuple[LedgerLine, ...]
    sentence: str


def read_error_budget() -> ErrorBudget:
    """The whole ledger. The levels are those that the candidates got: a change of the setting rewrites none of them."""
    alpha_life = read_settings().lifetime_alpha
    given = list(Evaluation.objects.order_by("candidate_number", "id").values_list("alpha", "verdict"))
    alphas, count = [alpha for alpha, _ in given], Counter(verdict for _, verdict in given)
    newest = Evaluation.objects.select_related("candidate").order_by("-candidate_number", "-id")[:SHOWN]
    return ErrorBudget(
        alpha_life=alpha_life,
        spent=sum(alphas),
        spent_percent=100 * min(1.0, sum(alphas) / alpha_life),
        candidates=len(given),
        promoted=count["promote"],
        rejected=count["reject"],
        inconclusive=count["inconclusive"],
        invalid=count["invalid"],
        lines=tuple(_describe_line(evaluation) for evaluation in newest),
        sentence=_describe_budget(alphas, alpha_life=alpha_life),
    )


def _describe_budget(alphas: Sequence[float], *, alpha_life: float) -> str:
    spent, following = sum(alphas), next_alpha(alphas=alphas, alpha_life=alpha_life)
    then = f"the next is judged at {following:.2g}" if following else "nothing is left for another"
    return (
        f"{say_count(len(alphas), 'candidate')} spent {spent:.4f} of {alpha_life:g}; "
        f"at most {spent:.4f} false promotions expected so far; {then}."
    )


def _describe_line(evaluation: Evaluation) -> LedgerLine:
    levels = split_alpha(evaluation.alpha)
    return LedgerLine(
        k=evaluation.candidate_number,
        evaluation_id=evaluation.pk,
        tag=evaluation.candidate.name,
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
    )
