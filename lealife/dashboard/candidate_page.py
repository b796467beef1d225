"""The page of one candidate: its evidence, pair by pair, and both trajectories of one task side by side."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lealife.dashboard.curve import Curve, draw_curve
from lealife.dashboard.run_view import RunPanel, build_run_page
from lealife.dashboard.tag_view import shorten_digest
from promotion.drills import DrillReport, read_drills
from promotion.evidence import PairLine, Trial, read_trial
from promotion.ledger import ErrorBudget, read_error_budget
from promotion.models import Canary
from promotion.windows import WindowProgress, read_window
from training.runtime_settings import read_settings


@dataclass(frozen=True, slots=True)
class Spot:
    """A win or a loss on the curve: percent across, down in drawing units, and what it was in words."""

    result: str
    across: float
    y: float
    words: str


@dataclass(frozen=True, slots=True)
class CandidatePage:
    """`/training/candidates/{id}/`. `left` and `right` are the candidate's and the active tag's run of `pair`."""

    trial: Trial
    curve: Curve
    budget: ErrorBudget
    drills: DrillReport
    window: WindowProgress
    on_hold: bool
    pair: PairLine | None
    left: RunPanel | None
    right: RunPanel | None

    @property
    def short_candidate_digest(self) -> str:
        """Twelve hex digits."""
        return shorten_digest(self.trial.candidate_digest)

    @property
    def short_baseline_digest(self) -> str:
        """Twelve hex digits."""
        return shorten_digest(self.trial.baseline_digest)

    @property
    def spots(self) -> tuple[Spot, ...]:
        """The pairs that carry evidence: ties leave the curve as it is."""
        placed = zip(self.trial.pairs, self.curve.points, strict=True)
        return tuple(_place_spot(pair, *point) for pair, point in placed if pair.result in ("win", "loss"))

    @property
    def canary_is_open(self) -> bool:
        """Whether there is a canary to abort."""
        return self.trial.canary is not None and self.trial.canary.state == Canary.State.OPEN


def build_candidate_page(*, evaluation_id: int, pair: int | None, now: datetime) -> CandidatePage:
    """Reads the page at `now`; `pair` counts from 1, an unknown one shows none. Raises NotFound."""
    trial = read_trial(evaluation_id)
    row = read_settings()
    chosen = next((line for line in trial.pairs if line.number == pair), None)
    return CandidatePage(
        trial=trial,
        curve=draw_curve(
            better=[line.e_better for line in trial.pairs],
            worse=[line.e_worse for line in trial.pairs],
            promote=trial.threshold,
            reject=trial.threshold_worse,
        ),
        budget=read_error_budget(row=row),
        drills=read_drills(),
        window=read_window(row=row),
        on_hold=row.promotion_hold,
        pair=chosen,
        left=build_run_page(run_id=chosen.candidate.run_id, now=now).run if chosen else None,
        right=build_run_page(run_id=chosen.baseline.run_id, now=now).run if chosen else None,
    )


def _place_spot(pair: PairLine, across: float, y: float) -> Spot:
    words = f"Pair {pair.number}, a {pair.result}: {pair.e_better:.3g} for better, {pair.e_worse:.3g} for worse"
    return Spot(pair.result, across, y, words)
