"""Tags, switches and canaries as the pages and the API show them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lealife.dashboard.rows import fill_row
from promotion.evaluation.gain import Gain, read_gain
from promotion.models import Canary, LiveApply, ModelTag, Role
from promotion.recipe_words import describe_recipe
from promotion.recipes import Recipe
from training.agent.ranking import Support, Weights


@dataclass(frozen=True, slots=True)
class TagView:
    """A model tag at one digest, and what the agent is given with it: `words` says so in a sentence.

    `weights` are the ranker's, of a controller; `support` decides when an answer counts, of a task model.
    """

    role: str
    name: str
    digest: str
    status: str
    pinned: bool
    created_at: datetime
    weights: Weights | None
    support: Support | None
    words: str


@dataclass(frozen=True, slots=True)
class ApplyView:
    """A switch of the serving tag; `passed_gate` is False for a rollback, and `gain`, what it was worth, None."""

    id: int
    role: str
    from_tag: str | None
    to_tag: str
    from_digest: str
    to_digest: str
    at: datetime
    by: str
    reason: str
    passed_gate: bool
    gain: Gain | None


@dataclass(frozen=True, slots=True)
class CanaryView:
    """A canary's share, in percent, and its observations in both arms; `reason` once it has ended."""

    state: str
    share_percent: int
    min_observations: int
    candidate_successes: int
    candidate_observations: int
    baseline_successes: int
    baseline_observations: int
    deadline_at: datetime
    reason: str


def view_tag(tag: ModelTag | None) -> TagView | None:
    """The tag as a frozen value."""
    return fill_tag(tag) if tag else None


def fill_tag(tag: ModelTag) -> TagView:
    """The same of a tag that there is."""
    recipe = Recipe.from_json(tag.recipe)
    is_controller = tag.role == Role.CONTROLLER
    return fill_row(
        TagView,
        tag,
        weights=recipe.used_weights if is_controller else None,
        support=None if is_controller else recipe.used_support,
        words=describe_recipe(recipe),
    )


def view_apply(apply: LiveApply | None) -> ApplyView | None:
    """The switch as a frozen value; needs `from_tag`, `to_tag` and `measurement` loaded."""
    if apply is None:
        return None
    return fill_row(
        ApplyView,
        apply,
        from_tag=apply.from_tag.name if apply.from_tag else None,
        to_tag=apply.to_tag.name,
        at=apply.applied_at,
        by=apply.applied_by,
        passed_gate=apply.canary_id is not None,
        gain=read_gain(apply),
    )


def view_canary(canary: Canary | None) -> CanaryView | None:
    """The canary as a frozen value."""
    return fill_row(CanaryView, canary) if canary else None
