"""Recipes: everything that is needed to make a tag again with the same digest."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeVar

from lealife.core.digest import digest_value
from lealife.core.gateway import OllamaPool
from promotion.models import Role
from training.agent.answerer import TASK_SYSTEM
from training.agent.controller import CONTROLLER_SYSTEM
from training.agent.ranking import FIRST_SUPPORT, FIRST_WEIGHTS, Support, Weights

NUM_CTX = 4096
SHORTLIST_SIZE = 5
# Ollama penalises repeated tokens by default, which distorts constrained JSON.
PARAMETERS = {"num_ctx": NUM_CTX, "temperature": 0, "seed": 0, "repeat_penalty": 1.0}
# Where a support was measured, and with what result: no run can show a difference.
MEASURED = ("right", "answers", "measured_on")
Values = TypeVar("Values", Weights, Support)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Base tag, system prompt, chat exemplars and parameters; and what the agent itself is given with them.

    Of a controller that is `shortlist_size`, the agent's K, `weights`, by which pages are ranked, and `ask_below`: it
    is asked only where the scores of the first two pages are closer than this, and always when it is None. Of a task
    model that is `support`, which decides when an answer counts as supported. Weights and support of None are the first
    ones.
    """

    role: str
    base: str
    system: str
    messages: tuple[tuple[str, str], ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    shortlist_size: int = SHORTLIST_SIZE
    weights: Weights | None = None
    support: Support | None = None
    ask_below: float | None = None

    @property
    def digest(self) -> str:
        """sha256 of the recipe."""
        return digest_value(self.to_json())

    @property
    def tag_name(self) -> str:
        """The tag's name, which depends only on the recipe."""
        return f"lealife-{self.role}:{self.digest[:12]}"

    @property
    def tag_parameters(self) -> dict[str, Any]:
        """The parameters of its tag, with a seed that follows from the whole recipe.

        The servers see neither weights nor `ask_below`, so two recipes that differ in them alone would get the same
        digest, and what served could not be told apart. Every call sends a seed of its own: the tag's changes no reply.
        """
        return {**self.parameters, "seed": int(self.digest[:7], 16)}

    @property
    def used_weights(self) -> Weights:
        """The weights by which runs of a controller of this recipe rank pages."""
        return self.weights or FIRST_WEIGHTS

    @property
    def used_support(self) -> Support:
        """What decides when an answer counts as supported, of a task model of this recipe."""
        return self.support or FIRST_SUPPORT

    @property
    def support_effect(self) -> dict[str, Any]:
        """What runs can show of the support: all of it but where it was measured."""
        return {name: value for name, value in asdict(self.used_support).items() if name not in MEASURED}

    def to_json(self) -> dict[str, Any]:
        """Plain values. What a recipe does not have is left out: an older recipe keeps its digest."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Recipe:
        """The recipe of a stored row, whatever weights and support were made of when it was written."""
        return cls(
            **{
                **data,
                "messages": tuple((role, content) for role, content in data["messages"]),
                "weights": _fill(FIRST_WEIGHTS, data["weights"]) if "weights" in data else None,
                "support": _fill(FIRST_SUPPORT, data["support"]) if "support" in data else None,
            }
        )

    def materialise(self, server: OllamaPool, *, name: str = "") -> str:
        """Creates the tag on every server of the pool; returns its digest, the same on all.

        `name`: that of a row written when weights or support were made of something else.
        """
        return server.create_tag(
            tag=name or self.tag_name,
            base=self.base,
            system=self.system,
            messages=[{"role": role, "content": content} for role, content in self.messages],
            parameters=self.tag_parameters,
        )


def _fill(first: Values, stored: dict[str, Any]) -> Values:
    """The stored values: what is not known any more is left out, and what is missing is that of the first ones."""
    known = {each.name for each in fields(first)}
    return replace(first, **{name: value for name, value in stored.items() if name in known})


def base_recipe(*, role: str, base: str) -> Recipe:
    """The recipe with which every installation starts: no exemplars."""
    parameters = dict(PARAMETERS)
    if role == Role.CONTROLLER:
        return Recipe(role, base, CONTROLLER_SYSTEM, parameters=parameters, weights=FIRST_WEIGHTS)
    return Recipe(role, base, TASK_SYSTEM, parameters=parameters, support=FIRST_SUPPORT)
