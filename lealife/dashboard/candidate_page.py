"""The page of one candidate: its evidence, pair by pair, and both trajectories of one task side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from lealife.dashboard.canary_view import CanaryView, view_canary
from lealife.dashboard.curve import Curve, draw_curve
from lealife.dashboard.run_view import RunPanel, build_run_page
from lealife.dashboard.tag_view import shorten_digest
from promotion.drills import read_drills
from promotion.evidence import PairLine, Trial, read_pairs, read_trial
from promotion.ledger import ErrorBudget, read_error_budget
from promotion.windows import read_window
from training.runtime_settings import read_settings


@dataclass(frozen=True, slots=True)
class Spot:
    """A win or a loss on the curve: percent across, down in drawing units, and what it was in words."""

    result: str
    across: float
    y: float
    words: str


@dataclass(frozen=True, slots=True)
class TrialPanel:
    """What the gate says of the candidate, and the verbs that are open to an operator."""

    trial: Trial
    window_sentence: str
    on_hold: bool
    canary_is_open: bool


@dataclass(frozen=True, slots=True)
class EvidencePanel:
    """The curve of the e-values, and the pairs that carry evidence on it: ties leave it as it is."""

    trial: Trial
    curve: Curve
    spots: tuple[Spot, ...]


@dataclass(frozen=True, slots=True)
class PairsPanel:
    """Every pair, in its order."""

    evaluation_id: int
    pairs: tuple[PairLine, ...]


@dataclass(frozen=True, slots=True)
class TermsPanel:
    """Who is compared, the canary on real runs, what the test costs of the error budget, and the gate's own errors."""

    trial: Trial
    canary: CanaryView | None
    budget: ErrorBudget
    drills: str

    @property
    def short_candidate_digest(self) -> str:
        """Twelve hex digits."""
        return shorten_digest(self.trial.candidate_digest)

    @property
    def short_baseline_digest(self) -> str:
        """Twelve hex digits."""
        return shorten_digest(self.trial.baseline_digest)


@dataclass(frozen=True, slots=True)
class CandidatePage:
    """The panels of `/training/candidates/{id}/`."""

    trial: TrialPanel
    evidence: EvidencePanel
    pairs: PairsPanel
    terms: TermsPanel
    generated_at: datetime


@dataclass(frozen=True, slots=True)
class Arms:
    """One task of an evaluation, with the candidate's and the active tag's run of it."""

    pair: PairLine
    candidate: RunPanel
    baseline: RunPanel


def build_candidate_page(*, evaluation_id: int, now: datetime) -> CandidatePage:
    """Reads and builds all panels at `now` (aware UTC). Raises NotFound."""
    trial = read_trial(evaluation_id)
    row = read_settings()
    canary = view_canary(trial.canary)
    curve = draw_curve(
        better=[line.e_better for line in trial.pairs],
        worse=[line.e_worse for line in trial.pairs],
        promote=trial.threshold,
        reject=trial.threshold_worse,
    )
    placed = zip(trial.pairs, curve.points, strict=True)
    # The pairs and the canary have panels of their own.
    head = replace(trial, pairs=(), canary=None)
    return CandidatePage(
        trial=TrialPanel(
            trial=head,
            window_sentence=read_window(row=row).sentence,
            on_hold=row.promotion_hold,
            canary_is_open=canary is not None and canary.is_open,
        ),
        evidence=EvidencePanel(
            trial=head,
            curve=curve,
            spots=tuple(_place_spot(pair, *point) for pair, point in placed if pair.result in ("win", "loss")),
        ),
        pairs=PairsPanel(evaluation_id, trial.pairs),
        terms=TermsPanel(trial=head, canary=canary, budget=read_error_budget(row=row), drills=read_drills().sentence),
        generated_at=now,
    )


def read_arms(*, evaluation_id: int, number: int | None, now: datetime) -> Arms | None:
    """Both trajectories of the pair with this number, counted from 1; None when there is no such pair."""
    if number is None:
        return None
    pair = next((line for line in read_pairs(evaluation_id) if line.number == number), None)
    if pair is None:
        return None
    candidate, baseline = (build_run_page(run_id=arm.run_id, now=now).run for arm in (pair.candidate, pair.baseline))
    return Arms(pair, candidate, baseline)


def _place_spot(pair: PairLine, across: float, y: float) -> Spot:
    words = f"Pair {pair.number}, a {pair.result}: {pair.e_better:.3g} for better, {pair.e_worse:.3g} for worse"
    return Spot(pair.result, across, y, words)
