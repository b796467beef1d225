"""The evidence of one evaluation, pair by pair, with the deciding statistic after each pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

from lealife.core.errors import NotFound
from promotion.evaluation.comparison import count_pairs, decide_evaluation, sum_evidence
from promotion.evaluation.repeatability import describe_repeatability
from promotion.evaluation.standing import HypothesisLine, describe_hypotheses
from promotion.gate.cheaper import e_not_worse
from promotion.gate.e_values import e_value, e_value_worse
from promotion.gate.pairs import PairResult
from promotion.gate.rule import WORSE_ALPHA
from promotion.models import Canary, Evaluation, EvaluationArm, EvaluationPair
from promotion.recipe_words import describe_candidate, describe_recipe
from promotion.recipes import Recipe

_OF_AN_ARM = ("success", "invalid", "controller_calls", "run__pages", "run__error_code")
_SHOWN = (
    *("index", "result", "candidate_first", "candidate_arm__run__prompt", "candidate_arm__run__host__name"),
    *(f"{arm}__{column}" for arm in ("candidate_arm", "baseline_arm") for column in _OF_AN_ARM),
)

_CALLS = ("candidate_arm__success", "candidate_arm__controller_calls", "baseline_arm__controller_calls")


@dataclass(frozen=True, slots=True)
class ArmLine:
    """One tag on one task; `calls` of the controller model."""

    run_id: int
    success: bool
    invalid: bool
    calls: int
    pages: int
    error_code: str

    @property
    def word(self) -> str:
        """How it ended, in one word."""
        if self.invalid:
            return "invalid"
        return "solved" if self.success else "failed"


@dataclass(frozen=True, slots=True)
class PairLine:
    """Both arms on one task; `e_better` and `e_worse` are the e-values after this pair."""

    index: int
    prompt: str
    host: str
    result: str
    candidate: ArmLine
    baseline: ArmLine
    candidate_first: bool
    e_better: float
    e_worse: float

    @property
    def number(self) -> int:
        """The pair's number, counted from 1."""
        return self.index + 1


@dataclass(frozen=True, slots=True)
class Trial:
    """One evaluation with all that was measured. `threshold`, `threshold_worse` and `threshold_cheaper` are what the
    e-values for better, for worse, and for not worse and cheaper must reach; `hypotheses` are both that may promote.

    `results` are the pairs' in their order, `better`, `worse` and `cheaper` the e-values after each. `candidate_words`
    say why this candidate and what it changes, `baseline_words` what the agent is given with the baseline.
    """

    evaluation_id: int
    number: int
    role: str
    candidate: str
    candidate_digest: str
    candidate_words: str
    baseline: str
    baseline_digest: str
    baseline_words: str
    window: int | None
    state: str
    verdict: str
    reason: str
    missing: str
    wins: int
    losses: int
    ties: int
    invalid: int
    pair_budget: int
    e_better: float
    e_worse: float
    threshold: float
    threshold_worse: float
    threshold_cheaper: float
    hypotheses: tuple[HypothesisLine, ...]
    alpha: float
    started_at: datetime
    finished_at: datetime | None
    canary: Canary | None
    repeatability: str
    results: tuple[str, ...]
    better: tuple[float, ...]
    worse: tuple[float, ...]
    cheaper: tuple[float, ...]


def read_trial(evaluation_id: int) -> Trial:
    """The evaluation with the results of its pairs. Raises NotFound. Three queries."""
    evaluations = Evaluation.every.select_related("candidate", "baseline", "window", "canary__apply__measurement")
    evaluation = evaluations.filter(pk=evaluation_id).first()
    if evaluation is None:
        raise NotFound(f"There is no evaluation {evaluation_id}.")
    counts = count_pairs(evaluation_id)
    decision = decide_evaluation(evaluation, changed=[], counts=counts)
    pending = evaluation.verdict == Evaluation.Verdict.PENDING
    # A pair that ended after the count is shown the next time.
    pairs = EvaluationPair.objects.filter(evaluation_id=evaluation_id, index__lt=counts["done"]).order_by("index")
    measured = list(pairs.values_list("result", *_CALLS))
    better, worse, cheaper = _follow(measured)
    window = evaluation.window
    return Trial(
        evaluation_id=evaluation.pk,
        number=evaluation.candidate_number,
        role=evaluation.candidate.role,
        candidate=evaluation.candidate.name,
        candidate_digest=evaluation.candidate_digest,
        candidate_words=describe_candidate(evaluation.candidate, baseline=Recipe.from_json(evaluation.baseline.recipe)),
        baseline=evaluation.baseline.name,
        baseline_digest=evaluation.baseline_digest,
        baseline_words=describe_recipe(Recipe.from_json(evaluation.baseline.recipe)),
        window=window.number if window else None,
        state=window.state if window else ("drill" if pending else str(evaluation.verdict)),
        verdict=evaluation.verdict,
        # A closed one keeps its own reason: what made it invalid is not in the pairs.
        reason=decision.reason if pending else evaluation.reason,
        missing=decision.missing if pending else "",
        wins=counts["wins"],
        losses=counts["losses"],
        ties=counts["ties"],
        invalid=counts["done"] - counts["wins"] - counts["losses"] - counts["ties"],
        pair_budget=evaluation.pair_budget,
        e_better=decision.e_value,
        e_worse=decision.e_worse,
        threshold=decision.threshold,
        threshold_worse=1 / WORSE_ALPHA,
        threshold_cheaper=decision.threshold_cheaper,
        hypotheses=describe_hypotheses(sum_evidence(counts), decision, promoted_by=evaluation.hypothesis),
        alpha=evaluation.alpha,
        started_at=evaluation.started_at,
        finished_at=evaluation.finished_at,
        canary=getattr(evaluation, "canary", None),
        repeatability=describe_repeatability(evaluation.repeats_differed),
        results=tuple(result for result, *_ in measured),
        better=better,
        worse=worse,
        cheaper=cheaper,
    )


def _follow(measured: Sequence[tuple[str, bool, int, int]]) -> tuple[tuple[float, ...], ...]:
    """The e-values for better, for worse, and for not worse and cheaper, after each pair; pure.

    `measured`: of each pair its result, whether the candidate succeeded, and both arms' calls.
    """
    results = [result for result, *_ in measured]
    # Of pairs in which both arms succeeded: how many calls the candidate spared.
    spared = [theirs - own if result == PairResult.TIE and solved else 0 for result, solved, own, theirs in measured]
    wins, losses, ties = (
        tuple(accumulate(result == wanted for result in results))
        for wanted in (PairResult.WIN, PairResult.LOSS, PairResult.TIE)
    )
    fewer, more = (tuple(accumulate(sign * calls > 0 for calls in spared)) for sign in (1, -1))
    cheaper = map(min, map(e_not_worse, wins, losses, ties), map(e_value, fewer, more))
    return tuple(map(e_value, wins, losses)), tuple(map(e_value_worse, wins, losses)), tuple(cheaper)


def read_pairs(trial: Trial, *, first: int = 0, last: int | None = None) -> tuple[PairLine, ...]:
    """The pairs with an index from `first` to `last`, all by default, the newest first. One query."""
    end = len(trial.results) if last is None else min(last + 1, len(trial.results))
    rows = (
        EvaluationPair.objects.filter(evaluation_id=trial.evaluation_id, index__gte=first, index__lt=end)
        .select_related("candidate_arm__run__host", "baseline_arm__run")
        .only(*_SHOWN)
        .order_by("-index")
    )
    return tuple(
        PairLine(
            index=pair.index,
            prompt=pair.candidate_arm.run.prompt,
            host=pair.candidate_arm.run.host.name,
            result=pair.result,
            candidate=_view_arm(pair.candidate_arm),
            baseline=_view_arm(pair.baseline_arm),
            candidate_first=pair.candidate_first,
            e_better=trial.better[pair.index],
            e_worse=trial.worse[pair.index],
        )
        for pair in rows
    )


def _view_arm(arm: EvaluationArm) -> ArmLine:
    return ArmLine(
        run_id=arm.run_id,
        success=arm.success,
        invalid=arm.invalid,
        calls=arm.controller_calls,
        pages=arm.run.pages,
        error_code=arm.run.error_code,
    )
