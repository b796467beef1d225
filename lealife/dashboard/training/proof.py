"""Panel 1, Model Update Proof: the live tags, the candidate, and whether the served digests agree."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from lealife.dashboard.candidates.canary import CanaryView, view_canary
from lealife.dashboard.candidates.tags import (
    ApplyView,
    TagView,
    shorten_digest,
    view_apply,
    view_tag,
    view_tags,
)
from lealife.dashboard.readings import Readings
from lealife.dashboard.training.headline import describe_action
from promotion.evaluation.standing import CandidateView
from promotion.models import PromotionWindow

AT_WORK = {
    PromotionWindow.State.BUILDING,
    PromotionWindow.State.EVALUATING,
    PromotionWindow.State.CANARY,
    PromotionWindow.State.APPLYING,
}


@dataclass(frozen=True, slots=True)
class CandidatePart:
    """The candidate under evaluation; qualities are successes over pairs, in [0, 1], None before the first pair."""

    evaluation_id: int
    tag: str
    role: str
    state: str
    verdict: str
    is_open: bool
    wins: int
    losses: int
    ties: int
    pairs: int
    pair_budget: int
    e_value: float
    threshold: float
    candidate_quality: float | None
    baseline_quality: float | None
    missing: str
    summary: str
    canary: CanaryView | None

    @property
    def quality_difference(self) -> float | None:
        """Candidate minus baseline."""
        if self.candidate_quality is None or self.baseline_quality is None:
            return None
        return self.candidate_quality - self.baseline_quality


@dataclass(frozen=True, slots=True)
class ServedPart:
    """Whether the latest live outcomes of one role carry the digest that routing claims."""

    role: str
    tag: str
    digest: str
    expected_since: datetime | None
    checked: int
    matching: int
    needed: int
    state: str  # green | amber | red | unknown
    sentence: str
    wrong_outcome_id: int | None

    @property
    def short_digest(self) -> str:
        """Twelve hex digits."""
        return shorten_digest(self.digest)


@dataclass(frozen=True, slots=True)
class ProofPanel:
    """Model Update Proof. Times are aware UTC; counts are whole numbers; percents are 0–100."""

    state: str
    window: int
    percent: int
    in_window: int
    window_size: int
    until_next: int
    sentence: str
    next_action: str
    reason: str
    successes: int
    watermark: int
    next_target: int
    delta_since_watermark: int
    attempts: int
    unbiased_rate: float | None
    live_applies: int
    promotion_worker: str
    controller: TagView | None
    task: TagView | None
    candidate: CandidatePart | None
    last_apply: ApplyView | None
    last_evaluation_at: datetime | None
    threshold_reached_at: datetime | None
    pending: str
    recent_successes: int
    recent_total: int
    recent_percent: int | None
    configured: tuple[TagView, ...]
    unused: tuple[TagView, ...]
    unused_count: int
    keep: int
    outcomes_total: int
    outcomes_success: int
    outcomes_failure: int
    served: tuple[ServedPart, ...]
    served_state: str
    served_sentence: str
    # The snapshot's own times change with every snapshot, so they do not count as a change.
    generated_at: datetime = field(metadata={"volatile": True})


def build_proof_panel(readings: Readings) -> ProofPanel:
    """The panel from one set of readings; no query of its own."""
    window, candidate, proof = readings.vitals.window, readings.candidate, readings.vitals.proof
    return ProofPanel(
        state=str(window.state),
        window=window.number,
        percent=window.percent,
        in_window=window.in_window,
        window_size=window.size,
        until_next=window.until_next,
        sentence=window.sentence,
        next_action=window.next_action if readings.vitals.loop.enabled else describe_action(readings.vitals),
        reason=window.reason,
        successes=window.successes,
        watermark=window.watermark,
        next_target=window.next_target,
        delta_since_watermark=window.successes - window.watermark,
        attempts=window.attempts,
        unbiased_rate=window.unbiased_rate,
        live_applies=readings.vitals.facts.live_applies,
        promotion_worker=describe_promotion_worker(readings),
        controller=view_tag(readings.vitals.routing.controller),
        task=view_tag(readings.vitals.routing.task),
        candidate=view_candidate(candidate),
        last_apply=view_apply(readings.vitals.last_apply),
        last_evaluation_at=window.last_evaluation_at,
        threshold_reached_at=window.last_reached_at,
        pending=str(candidate.state) if candidate and is_open(candidate) else "none",
        recent_successes=readings.vitals.recent.successes,
        recent_total=readings.vitals.recent.total,
        recent_percent=readings.vitals.recent.percent,
        configured=view_tags(readings.vitals.tags.configured),
        unused=view_tags(readings.vitals.tags.unused),
        unused_count=readings.vitals.tags.unused_count,
        keep=readings.vitals.tags.keep,
        outcomes_total=readings.vitals.facts.counters["outcomes.total"],
        outcomes_success=readings.vitals.facts.counters["outcomes.success"],
        outcomes_failure=readings.vitals.facts.counters["outcomes.failure"],
        served=tuple(
            ServedPart(
                role=str(row.role),
                tag=row.tag,
                digest=row.digest,
                expected_since=row.expected_since,
                checked=row.checked,
                matching=row.matching,
                needed=row.needed,
                state=row.state,
                sentence=row.sentence,
                wrong_outcome_id=row.wrong_outcome_id,
            )
            for row in proof.roles
        ),
        served_state=proof.state,
        served_sentence=proof.sentence,
        generated_at=readings.vitals.now,
    )


def describe_promotion_worker(readings: Readings) -> str:
    """`down` without workers, `held` by an operator, else `working` or `waiting` as the window's state says."""
    if readings.vitals.health.worker != "up":
        return readings.vitals.health.worker
    if readings.vitals.settings.promotion_hold:
        return "held"
    return "working" if readings.vitals.window.state in AT_WORK else "waiting"


def is_open(candidate: CandidateView) -> bool:
    """Whether the candidate still has a chance: its window is being evaluated, in canary or applied just now."""
    return candidate.state in AT_WORK


def view_candidate(candidate: CandidateView | None) -> CandidatePart | None:
    """The candidate as a frozen value."""
    if candidate is None:
        return None
    pairs = candidate.pairs
    return CandidatePart(
        evaluation_id=candidate.evaluation_id,
        tag=candidate.tag,
        role=str(candidate.role),
        state=str(candidate.state),
        verdict=str(candidate.verdict),
        is_open=is_open(candidate),
        wins=candidate.wins,
        losses=candidate.losses,
        ties=candidate.ties,
        pairs=pairs,
        pair_budget=candidate.pair_budget,
        e_value=candidate.e_value,
        threshold=candidate.threshold,
        candidate_quality=candidate.candidate_successes / pairs if pairs else None,
        baseline_quality=candidate.baseline_successes / pairs if pairs else None,
        missing=candidate.missing,
        summary=candidate.summary,
        canary=view_canary(candidate.canary),
    )
