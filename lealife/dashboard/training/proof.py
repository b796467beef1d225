"""Panel 1, Model Update Proof: the live tags, the candidate, and whether the served digests agree."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from lealife.dashboard.candidates.tags import (
    ApplyView,
    CanaryView,
    TagView,
    fill_tag,
    view_apply,
    view_canary,
    view_tag,
)
from lealife.dashboard.readings import Readings, Recent
from lealife.dashboard.rows import fill_row
from lealife.dashboard.training.headline import describe_action
from promotion.calibration import Calibrated
from promotion.candidates.windows import WindowProgress
from promotion.evaluation.standing import CandidateView, HypothesisLine
from promotion.models import PromotionWindow
from promotion.proof.served import ServedProof
from promotion.recipe_words import describe_here
from promotion.tags import KEEP_TAGS

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
    hypothesis: str
    is_open: bool
    wins: int
    losses: int
    ties: int
    pairs: int
    pair_budget: int
    e_value: float
    threshold: float
    hypotheses: tuple[HypothesisLine, ...]
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
class ProofPanel:
    """Model Update Proof. Times are aware UTC; counts are whole numbers; percents are 0–100."""

    window: WindowProgress
    next_action: str
    live_applies: int
    promotion_worker: str
    controller: TagView | None
    task: TagView | None
    candidate: CandidatePart | None
    last_apply: ApplyView | None
    pending: str
    recent: Recent
    configured: tuple[TagView, ...]
    unused: tuple[TagView, ...]
    unused_count: int
    keep: int
    checked: Calibrated | None
    outcomes_total: int
    outcomes_success: int
    outcomes_failure: int
    served: ServedProof
    # The snapshot's own times change with every snapshot, so they do not count as a change.
    generated_at: datetime = field(metadata={"volatile": True})

    @property
    def here(self) -> str:
        """How many checked answers above the active task tag's threshold were right."""
        return describe_here(self.checked) if self.checked else ""

    @property
    def delta_since_watermark(self) -> int:
        """Successes that count since the window's watermark."""
        return self.window.successes - self.window.watermark


def build_proof_panel(readings: Readings) -> ProofPanel:
    """The panel from one set of readings; no query of its own."""
    vitals, candidate = readings.vitals, readings.candidate
    counters, window = vitals.facts.counters, vitals.window
    return ProofPanel(
        window=window,
        next_action=window.next_action if vitals.loop.enabled else describe_action(vitals),
        live_applies=vitals.facts.live_applies,
        promotion_worker=describe_promotion_worker(readings),
        controller=view_tag(vitals.routing.controller),
        task=view_tag(vitals.routing.task),
        candidate=view_candidate(candidate),
        last_apply=view_apply(vitals.last_apply),
        pending=str(candidate.state) if candidate and is_open(candidate) else "none",
        recent=vitals.recent,
        configured=tuple(fill_tag(tag) for tag in vitals.configured),
        unused=tuple(fill_tag(tag) for tag in vitals.unused),
        checked=readings.checked,
        unused_count=vitals.facts.unused_tags,
        keep=KEEP_TAGS,
        outcomes_total=counters["outcomes.total"],
        outcomes_success=counters["outcomes.success"],
        outcomes_failure=counters["outcomes.failure"],
        served=vitals.proof,
        generated_at=vitals.now,
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
    return fill_row(
        CandidatePart,
        candidate,
        is_open=is_open(candidate),
        candidate_quality=candidate.candidate_successes / pairs if pairs else None,
        baseline_quality=candidate.baseline_successes / pairs if pairs else None,
        canary=view_canary(candidate.canary),
    )
