"""Pre-flight: checks of a recipe before anything is run. Pure; each refusal is one sentence."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lealife.core.digest import digest_value
from lealife.core.errors import GateRefused
from promotion.candidates.fitting import Case
from promotion.candidates.recorded import RecordedPick
from promotion.models import Role
from promotion.recipes import NUM_CTX, Recipe
from training.agent.reading.words import split_parts

# Parameters that every call sets itself, so that the tag's values have no effect.
OVERRIDDEN = ("seed", "temperature")
# This many equal words in a row are not a coincidence. A shorter text counts as copied when all of it is there.
RUN_OF_WORDS = 8
LEAST_WORDS = 4
# Characters per token, a safe estimate for English; tokens that the chat format adds to a turn.
CHARACTERS_A_TOKEN = 3.5
TURN_TOKENS = 8
# Tokens that must be left for the longest question, eight entries to choose from, and the answer.
QUESTION_TOKENS = 1_600
# In so many recorded training situations a candidate has to differ from its parent once.
SITUATIONS = 40
# Page text that addresses a model instead of a reader.
_COMMANDS = re.compile(
    r"\b(ignore|disregard|forget|override)\b[^.\n]{0,40}\b(instructions?|rules?|prompts?|above|previous|earlier)\b"
    r"|\bsystem prompt\b|\byou are now\b|\bas an? (ai|language model)\b"
    r"|\b(always|must|only)\s+(pick|choose|reply|respond|answer)\b|<\|[a-z_]+\|>|^\s*(system|assistant)\s*:",
    re.IGNORECASE | re.MULTILINE,
)


def check_recipe(
    recipe: Recipe,
    *,
    parent: Recipe,
    judged: Mapping[str, str],
    held_out: Collection[tuple[str, ...]],
    bases: Mapping[str, str],
    untrusted: Collection[int],
) -> str:
    """The cost of serving it next to its parent: empty, or the reason why servers reload the model.

    `judged`: tags by the effect of their recipe. `held_out`: every text of held-out tasks, read into runs of words.
    `bases`: the base's digest by server, "" where it is missing. `untrusted`: memory items among the recipe's sources
    that are quarantined, retired or purged by now.

    Raises GateRefused when the recipe changes nothing, was judged before, copies held-out text, is tainted, does not
    fit its context, or lacks its base on a server.
    """
    texts = [content for _, content in recipe.messages]
    effect = read_effect(recipe)
    if effect == read_effect(parent):
        raise GateRefused("The recipe changes nothing: the candidate would be the same as the active tag.")
    if effect in judged:
        raise GateRefused(f"This recipe has been judged before, as {judged[effect]}.")
    if copied := find_copied(texts, held_out=held_out):
        raise GateRefused(f"The recipe copies text of a held-out task: “{copied}”.")
    if command := next(filter(None, map(find_command, texts)), ""):
        raise GateRefused(f"The recipe contains page text that reads like an instruction: “{command}”.")
    if untrusted:
        items = ", ".join(map(str, sorted(untrusted)))
        raise GateRefused(f"The recipe uses memory that is no longer trusted: item {items}.")
    if (tokens := estimate_tokens(recipe)) > (room := _read_context(recipe) - QUESTION_TOKENS):
        raise GateRefused(f"The recipe takes about {tokens:,} tokens; its context has room for {room:,}.")
    if missing := [server for server, digest in bases.items() if not digest]:
        raise GateRefused(f"Its base {recipe.base} is missing on {', '.join(missing)}.")
    return foretell_reload(recipe, parent=parent)


def read_effect(recipe: Recipe) -> str:
    """A digest that is equal for two recipes when no run could show a difference between them."""
    parameters = {name: value for name, value in recipe.parameters.items() if name not in OVERRIDDEN}
    agent: list[Any] = [recipe.support_effect]
    if recipe.role == Role.CONTROLLER:
        agent = [recipe.shortlist_size, asdict(recipe.used_weights), recipe.ask_below]
    return digest_value([recipe.role, recipe.base, recipe.system, recipe.messages, parameters, agent])


def check_foreseen(recipe: Recipe, *, parent: Recipe, picks: Sequence[RecordedPick], cases: Sequence[Case]) -> None:
    """Refuses what would change nothing in recorded training. Raises GateRefused.

    Only where the model sees the same in the same situation: otherwise it has to be asked. Where nothing is recorded
    nothing is known, and nothing is refused.
    """
    if [recipe.base, recipe.system, recipe.messages] != [parent.base, parent.system, parent.messages]:
        return
    picks, cases = picks[:SITUATIONS], cases[:SITUATIONS]
    if (picks or cases) and _foresee(recipe, parent, picks, cases) == _foresee(parent, parent, picks, cases):
        looked = f"{len(picks)} recorded picks and {len(cases)} training tasks"
        raise GateRefused(f"The recipe would show the same pages and ask as often: replayed on {looked}.")


def _foresee(
    recipe: Recipe, parent: Recipe, picks: Sequence[RecordedPick], cases: Sequence[Case]
) -> list[tuple[object, ...]]:
    """Which pages runs of a recipe would choose from, and whether they would ask, where the parent's are recorded."""
    size, least = recipe.shortlist_size, recipe.ask_below
    found: list[tuple[object, ...]] = []
    for pick in picks:
        # A list as long as the parent allows may go on behind its end.
        goes_on = size > parent.shortlist_size and len(pick.shortlist) == parent.shortlist_size
        found.append((min(size, len(pick.shortlist)), goes_on, least is None or pick.margin < least))
    return found + [tuple(case.rank_pages(recipe.used_weights)[:size]) for case in cases]


def read_runs_of_words(texts: Iterable[str]) -> frozenset[tuple[str, ...]]:
    """Every sequence of eight words in the texts; shorter texts as a whole, very short ones not at all."""
    return frozenset(run for text in texts for run in _list_runs(text))


def _list_runs(text: str) -> list[tuple[str, ...]]:
    words = split_parts(text)
    size = min(len(words), RUN_OF_WORDS)
    return [tuple(words[at : at + size]) for at in range(len(words) - size + 1)] if size >= LEAST_WORDS else []


def find_copied(texts: Iterable[str], *, held_out: Collection[tuple[str, ...]]) -> str:
    """The first sequence of words that is also in held-out text; empty when there is none."""
    sizes = sorted({len(run) for run in held_out})
    for text in texts:
        words = split_parts(text)
        for size in sizes:
            for at in range(len(words) - size + 1):
                if (run := tuple(words[at : at + size])) in held_out:
                    return " ".join(run)
    return ""


def find_command(text: str) -> str:
    """The part of the text that addresses a model; empty when there is none."""
    found = _COMMANDS.search(text)
    return found.group().strip() if found else ""


def estimate_tokens(recipe: Recipe) -> int:
    """Tokens of system prompt and exemplars, estimated from their length."""
    turns = [recipe.system, *(content for _, content in recipe.messages)]
    return sum(round(len(turn) / CHARACTERS_A_TOKEN) + TURN_TOKENS for turn in turns)


def foretell_reload(recipe: Recipe, *, parent: Recipe) -> str:
    """Why a server reloads its model when it switches between the two; empty when one runner serves both."""
    causes = []
    if recipe.base != parent.base:
        causes.append(f"the base is {recipe.base} instead of {parent.base}")
    if _read_context(recipe) != _read_context(parent):
        causes.append(f"num_ctx is {_read_context(recipe)} instead of {_read_context(parent)}")
    if recipe.parameters.get("adapter") != parent.parameters.get("adapter"):
        causes.append("the adapter differs")
    return f"Servers reload the model at each switch between the two tags: {', '.join(causes)}." if causes else ""


def _read_context(recipe: Recipe) -> int:
    return int(recipe.parameters.get("num_ctx", NUM_CTX))
