"""Recipes: everything that is needed to make a tag again with the same digest."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from lealife.core.digest import digest_value
from promotion.models import Role
from training.agent.answerer import TASK_SYSTEM
from training.agent.controller import CONTROLLER_SYSTEM

NUM_CTX = 4096
SHORTLIST_SIZE = 5
# Ollama penalises repeated tokens by default, which distorts constrained JSON.
PARAMETERS = {"num_ctx": NUM_CTX, "temperature": 0, "seed": 0, "repeat_penalty": 1.0}


class TagServer(Protocol):
    """What promotion needs of the model servers."""

    def create_tag(
        self, *, tag: str, base: str, system: str, messages: list[dict[str, str]], parameters: dict[str, Any]
    ) -> str: ...

    def read_digest(self, *, tag: str) -> dict[str, str]: ...


@dataclass(frozen=True, slots=True)
class Recipe:
    """Base tag, system prompt, chat exemplars and parameters. `shortlist_size` is the agent's K, stored with them."""

    role: str
    base: str
    system: str
    messages: tuple[tuple[str, str], ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    shortlist_size: int = SHORTLIST_SIZE

    @property
    def digest(self) -> str:
        """sha256 of the recipe."""
        return digest_value(self.to_json())

    @property
    def tag_name(self) -> str:
        """The tag's name, which depends only on the recipe."""
        return f"lealife-{self.role}:{self.digest[:12]}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Recipe:
        """The recipe of a stored row."""
        return cls(**{**data, "messages": tuple((role, content) for role, content in data["messages"])})

    def materialise(self, server: TagServer) -> str:
        """Creates the tag on every server of the pool; returns its digest, the same on all."""
        return server.create_tag(
            tag=self.tag_name,
            base=self.base,
            system=self.system,
            messages=[{"role": role, "content": content} for role, content in self.messages],
            parameters=self.parameters,
        )


def base_recipe(*, role: str, base: str) -> Recipe:
    """The recipe with which every installation starts: no exemplars."""
    system = CONTROLLER_SYSTEM if role == Role.CONTROLLER else TASK_SYSTEM
    return Recipe(role=role, base=base, system=system, parameters=dict(PARAMETERS))
