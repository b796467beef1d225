"""Candidates: a recipe of verified exemplars, refused before any run when it would change nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lealife.lib.errors import GateRefused
from learning.models import MemoryItem
from promotion.models import ModelTag
from promotion.recipes import Recipe
from training.agent.controller import format_pick, format_situation
from training.agent.trajectory import Choice
from training.models import Step

# (exemplars, shortlist size): one cell a candidate, in turn, so that each differs from the one before.
GRID = ((6, 5), (4, 3), (8, 5), (6, 3), (8, 8), (4, 5))
EXEMPLAR_PROMPT_MAX = 400
POOL = 400


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A situation and the pick that was right in it."""

    run_id: int
    prompt: str
    shortlist: tuple[Choice, ...]
    right: int


def choose_recipe(*, parent: ModelTag, number: int) -> Recipe:
    """The recipe of candidate `number`: the parent's, with exemplars from verified successes.

    Raises GateRefused when there is nothing to learn from, or the recipe would not change anything.
    """
    count, shortlist_size = GRID[(number - 1) % len(GRID)]
    chosen = choose_exemplars(read_exemplars(shortlist_size=shortlist_size), count=count)
    base = Recipe.from_json(parent.recipe)
    recipe = replace(base, messages=tuple(format_exemplars(chosen)), shortlist_size=shortlist_size)
    if recipe.digest == base.digest:
        raise GateRefused("The candidate would be the active tag again: its recipe changes nothing.")
    if not chosen and recipe.shortlist_size == base.shortlist_size:
        raise GateRefused("No verified success can serve as an exemplar yet.")
    if ModelTag.objects.filter(recipe_digest=recipe.digest).exists():
        raise GateRefused(f"This recipe has been judged before, as {recipe.tag_name}.")
    return recipe


def read_exemplars(*, shortlist_size: int) -> list[Exemplar]:
    """Trusted situations of verified training successes, newest first, cut to the shortlist size."""
    items = MemoryItem.objects.recallable().filter(kind=MemoryItem.Kind.EXEMPLAR).order_by("-id")[:POOL]
    keys = [(item.data["run"], item.data["step"], item.data["right"]) for item in items]
    steps = {
        (step.run_id, step.index): step
        for step in Step.objects.select_related("run").filter(run_id__in={run for run, _, _ in keys})
    }
    found = []
    for run_id, index, right in keys:
        step = steps.get((run_id, index))
        if step is None or right >= shortlist_size or len(step.run.prompt) > EXEMPLAR_PROMPT_MAX:
            continue
        shortlist = tuple(
            Choice(url=choice["url"], title=choice["title"], score=choice["score"], why=choice["why"])
            for choice in step.shortlist[:shortlist_size]
        )
        if len(shortlist) > 1:
            found.append(Exemplar(run_id, step.run.prompt, shortlist, right))
    return found


def choose_exemplars(exemplars: Iterable[Exemplar], *, count: int) -> list[Exemplar]:
    """At most `count`, one a run, newest first, with right picks at each position as often as they truly are.

    Shares are rounded by largest remainder. An even spread over positions was tried and measured worse than no
    exemplars at all: the shortlist is ranked, and a small model copies the positions it is shown.
    """
    by_position: dict[int, list[Exemplar]] = {}
    seen: set[int] = set()
    for exemplar in exemplars:
        if exemplar.run_id not in seen:
            seen.add(exemplar.run_id)
            by_position.setdefault(exemplar.right, []).append(exemplar)
    count = min(count, len(seen))
    shares = {position: count * len(found) / len(seen) for position, found in by_position.items()}
    taken = {position: int(share) for position, share in shares.items()}
    for position in sorted(shares, key=lambda position: (taken[position] - shares[position], position)):
        taken[position] += int(sum(taken.values()) < count)
    chosen = [exemplar for position, found in by_position.items() for exemplar in found[: taken[position]]]
    return sorted(chosen, key=lambda exemplar: exemplar.run_id)


def format_exemplars(exemplars: Iterable[Exemplar]) -> list[tuple[str, str]]:
    """Chat turns in the very words the controller uses."""
    turns = []
    for exemplar in exemplars:
        turns.append(("user", format_situation(exemplar.prompt, exemplar.shortlist)))
        turns.append(("assistant", format_pick(exemplar.right)))
    return turns
