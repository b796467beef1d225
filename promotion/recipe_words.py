"""What a recipe gives the agent, in words: how pages are ranked, when the model is asked, and when an answer counts as
supported.
"""

from __future__ import annotations

from dataclasses import asdict

from promotion.models import Role
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


def describe_here(*, right: int, answers: int) -> str:
    """How many checked answers of this installation at or above the threshold were right."""
    if not answers:
        return "Here: no answer above it has been checked yet."
    return f"Here: {right} of {answers} checked answers above it {'was' if right == 1 else 'were'} right."


def _show(number: float) -> str:
    return f"{number:g}".replace("-", "\N{MINUS SIGN}")
