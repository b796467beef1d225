"""Vectors of texts, as the agent is given them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Vector = Sequence[float]
# Makes a vector of unit length of each text; empty when no model can.
Embed = Callable[[Sequence[str]], Sequence[Vector]]


def remember_vectors(embed: Embed) -> Embed:
    """The same, but each text is sent once; empty when one of them has no vector."""
    known: dict[str, Vector] = {}

    def embed_new(texts: Sequence[str]) -> list[Vector]:
        new = list(dict.fromkeys(text for text in texts if text not in known))
        known.update(zip(new, embed(new) if new else (), strict=False))
        return [known[text] for text in texts] if known.keys() >= set(texts) else []

    return embed_new
