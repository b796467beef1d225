"""The page of one candidate: its evidence, pair by pair, and both trajectories of one task side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lealife.dashboard.candidates.curve import Curve, draw_curve
from lealife.dashboard.candidates.tags import CanaryView, view_canary
from lealife.dashboard.runs.panel import RunPanel, build_run_page
from promotion.calibration import read_calibration
from promotion.candidates.windows import WindowProgress, read_window
from promotion.evaluation.evidence import PairLine, Trial, read_pairs, read_trial
from promotion.evaluation.gain import Gain, read_gain
from promotion.models import Canary, ModelTag, Role
from promotion.recipe_words import describe_here
from promotion.routing import read_routing
from training.runtime_settings import read_settings

# How many pairs are shown live: a budget may be thousands, and each finished pair is sent to every reader.
NEWEST = 60


@dataclass(frozen=True, slots=True)
class Spot:
    """A win or a loss on the curve: percent across, down in drawing units, and its description."""

    result: str
    across: float
    y: float
    words: str


@dataclass(frozen=True, slots=True)
class TrialPanel:
    """The gate's view of the candidate, the state of promotion, and the actions that an operator may take."""

    trial: Trial
    window: WindowProgress
    on_hold: bool
    canary_is_open: bool


@dataclass(frozen=True, slots=True)
class EvidencePanel:
    """The curve of the e-values, with the pairs that change it (ties do not)."""

    trial: Trial
    curve: Curve
    spots: tuple[Spot, ...]


@dataclass(frozen=True, slots=True)
class PairsPanel:
    """The newest pairs, newest first, of `total`."""

    evaluation_id: int
    pairs: tuple[PairLine, ...]
    total: int


@dataclass(frozen=True, slots=True)
class TermsPanel:
    """The tags that are compared, the canary on real runs, and what its live apply was worth.

    `here`: of a task model, how many checked answers above the baseline's threshold were right here.
    """

    trial: Trial
    canary: CanaryView | None
    gain: Gain | None
    here: str


@dataclass(frozen=True, slots=True)
class CandidatePage:
    """The panels of `/training/candidates/{id}/`."""

    trial: TrialPanel
    evidence: EvidencePanel
    pairs: PairsPanel
    terms: TermsPanel


@dataclass(frozen=True, slots=True)
class Arms:
    """One task of an evaluation, with the candidate's and the baseline's run of it."""

    pair: PairLine
    candidate: RunPanel
    baseline: RunPanel


def build_candidate_page(evaluation_id: int) -> CandidatePage:
    """Reads and builds all panels. Raises NotFound."""
    trial = read_trial(evaluation_id)
    row = read_settings()
    canary, gain = view_canary(trial.canary), read_gain(getattr(trial.canary, "apply", None))
    total = len(trial.results)
    curve = draw_curve(
        better=trial.better,
        worse=trial.worse,
        cheaper=trial.cheaper,
        promote=trial.threshold,
        reject=trial.threshold_worse,
        promote_cheaper=trial.threshold_cheaper,
    )
    # The pairs and the canary have panels of their own.
    head = replace(trial, results=(), better=(), worse=(), cheaper=(), canary=None)
    return CandidatePage(
        trial=TrialPanel(
            trial=head,
            window=read_window(row=row),
            on_hold=row.promotion_hold,
            canary_is_open=canary is not None and canary.state == Canary.State.OPEN,
        ),
        evidence=EvidencePanel(trial=head, curve=curve, spots=_place_spots(trial, curve)),
        pairs=PairsPanel(evaluation_id, read_pairs(trial, first=max(0, total - NEWEST)), total),
        terms=TermsPanel(trial=head, canary=canary, gain=gain, here=_say_here(trial)),
    )


def read_arms(trial: Trial, *, number: int) -> Arms | None:
    """Both trajectories of the pair with this number, counted from 1; None when there is no such pair."""
    for pair in read_pairs(trial, first=number - 1, last=number - 1):
        arms = (build_run_page(arm.run_id).run for arm in (pair.candidate, pair.baseline))
        return Arms(pair, *arms)
    return None


def _say_here(trial: Trial) -> str:
    controller = read_routing().controller if trial.role == Role.TASK else None
    if controller is None:
        return ""
    return describe_here(read_calibration(controller=controller, task=ModelTag.objects.get(name=trial.baseline)))


def _place_spots(trial: Trial, curve: Curve) -> tuple[Spot, ...]:
    measured = zip(trial.results, curve.points, trial.better, trial.worse, strict=True)
    return tuple(
        Spot(result, *point, f"Pair {number}, a {result}: {better:.3g} for better, {worse:.3g} for worse")
        for number, (result, point, better, worse) in enumerate(measured, 1)
        if result in ("win", "loss")
    )
