"""The one door to a language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said, what it cost (tokens, milliseconds) and the digest of the tag that served it."""

    text: str
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    latency_ms: int = 0
    digest: str = ""


class Model(Protocol):
    """A chat with a tag; `schema` constrains the reply to JSON of that shape."""

    def chat(
        self,
        *,
        tag: str,
        messages: Sequence[dict[str, str]],
        schema: dict[str, Any] | None,
        max_tokens: int,
        num_ctx: int,
        seed: int,
    ) -> Reply:
        """One reply. Raises AgentError with `model_unavailable` or `model_invalid`."""
        ...
