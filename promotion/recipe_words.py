"""What a recipe gives the agent, in words: how pages are ranked, when the model is asked, and when an answer counts as
supported.
"""

from __future__ import annotations

from dataclasses import asdict

from promotion.calibration import Calibrated
from promotion.candidates.preflight import OVERRIDDEN
from promotion.models import ModelTag, Role
from promotion.recipes import Recipe
from training.agent.ranking import Support, Weights

# The ranker's features, by the names that a reader understands.
FEATURES = {
    "bm25": "BM25",
    "cosine": "meaning",
    "text": "words in the text",
    "heading": "in the headings",
    "title": "in the title",
    "path": "in the address",
    "link": "link text",
    "phrase": "quoted words",
    "record": "record",
    "exact": "exact names",
    "pitfall": "failed before",
}


def describe_recipe(recipe: Recipe) -> str:
    """What the agent is given with a tag of this recipe, in one sentence."""
    if recipe.role == Role.CONTROLLER:
        return " ".join(filter(None, [describe_weights(recipe.used_weights), describe_asking(recipe.ask_below)]))
    return describe_support(recipe.used_support)


def describe_candidate(tag: ModelTag, *, baseline: Recipe) -> str:
    """Why this lever, and what the candidate changes."""
    changed = describe_change(baseline, Recipe.from_json(tag.recipe))
    return " ".join(filter(None, [tag.why, changed or "It changes nothing that a run could show."]))


def describe_change(parent: Recipe, recipe: Recipe) -> str:
    """What a recipe changes of its parent's, a sentence for each field; empty when no run can show a difference."""
    said = []
    if recipe.base != parent.base:
        said.append(f"The base is {recipe.base} instead of {parent.base}.")
    if recipe.system != parent.system:
        said.append(f"The model is instructed so: “{recipe.system}”")
    if recipe.messages != parent.messages:
        said.append(_describe_exemplars(len(parent.messages) // 2, len(recipe.messages) // 2))
    for name in sorted({*parent.parameters, *recipe.parameters}.difference(OVERRIDDEN)):
        before, after = parent.parameters.get(name), recipe.parameters.get(name)
        if before != after:
            said.append(f"{name} is {_name(after)} instead of {_name(before)}.")
    if recipe.role == Role.CONTROLLER:
        said += _describe_controller(parent, recipe)
    elif recipe.support_effect != parent.support_effect:
        threshold = parent.used_support.threshold
        said.append(f"{describe_support(recipe.used_support)[:-1]}, instead of from {100 * threshold:.0f} %.")
    return " ".join(said)


def _describe_controller(parent: Recipe, recipe: Recipe) -> list[str]:
    said = []
    if recipe.shortlist_size != parent.shortlist_size:
        said.append(f"The shortlist has {recipe.shortlist_size} pages instead of {parent.shortlist_size}.")
    if recipe.used_weights != parent.used_weights:
        before, after = asdict(parent.used_weights), asdict(recipe.used_weights)
        changed = (name for name in FEATURES if before[name] != after[name])
        parts = (f"{FEATURES[name]} {_show(after[name])} instead of {_show(before[name])}" for name in changed)
        said.append(f"Pages are ranked by other weights: {', '.join(parts)}.")
    if recipe.ask_below != parent.ask_below:
        before_it = "" if parent.ask_below is None else f" Before, {parent.ask_below:g} was the limit."
        said.append(f"{describe_asking(recipe.ask_below) or 'The model is asked at every choice.'}{before_it}")
    return said


def _describe_exemplars(before: int, after: int) -> str:
    if before == after:
        return f"The model is shown {_count(after, 'other example')}."
    return f"The model is shown {_count(after, 'example')} instead of {before or 'none'}."


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _name(value: object) -> str:
    return "not set" if value is None else str(value)


def describe_weights(weights: Weights) -> str:
    """What each feature of a page adds to its rank."""
    parts = (f"{FEATURES[name]} {_show(weight)}" for name, weight in asdict(weights).items())
    return f"Ranker: {', '.join(parts)}."


def describe_asking(ask_below: float | None) -> str:
    """When the model is asked at all; empty when it always is."""
    if ask_below is None:
        return ""
    closer = f"the first two pages are closer than {ask_below:g}"
    return f"The model is asked only where {closer}; elsewhere the first is opened."


def describe_support(support: Support) -> str:
    """From where an answer counts as supported, and what that was measured on."""
    return f"An answer counts as supported from {100 * support.threshold:.0f} %: {describe_measured(support)}."


def describe_measured(support: Support) -> str:
    """How many answers at or above the threshold were right, and where; without a full stop."""
    return f"{support.right} of {support.answers} such answers were right ({support.measured_on})"


def describe_here(checked: Calibrated) -> str:
    """How many checked answers of this installation at or above the threshold were right."""
    if not checked.answers:
        return "Here: no answer above it has been checked yet."
    were = "was" if checked.right == 1 else "were"
    return f"Here: {checked.right} of {checked.answers} checked answers above it {were} right."


def _show(number: float) -> str:
    return f"{number:g}".replace("-", "\N{MINUS SIGN}")
