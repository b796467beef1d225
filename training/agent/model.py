"""The interface to a language model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's text, its cost (tokens, milliseconds) and the digest of the tag that served it.

    `cut`: it ended because it reached the token limit.
    """

    text: str
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    latency_ms: int = 0
    digest: str = ""
    cut: bool = False


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
        """One reply. Raises AgentError `model_unavailable` when the model cannot serve, `model_invalid` when the
        request cannot be asked of any.
        """
        ...


def list_digests(replies: Iterable[Reply]) -> tuple[str, ...]:
    """The digests that replies came from, each once, sorted."""
    return tuple(sorted({reply.digest for reply in replies if reply.digest}))
