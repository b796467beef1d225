"""Model names. `smollm2`, `library/smollm2:latest` and `registry.ollama.ai/library/smollm2` are one model."""

from __future__ import annotations

import re

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")


class BadName(ValueError):
    """The text is no model name."""


def normalise_name(text: str) -> str:
    """The one form a name is stored and shown in: default host and namespace dropped, `:latest` added.

    Raises BadName when a part is empty, too long or holds a character that Ollama refuses.
    """
    path, colon, tag = text.partition(":")
    parts = path.split("/")
    if len(parts) > 3 or not all(_PART.fullmatch(part) for part in parts):
        raise BadName(text)
    if colon and not _PART.fullmatch(tag):
        raise BadName(text)
    if len(parts) == 3 and parts[0] == "registry.ollama.ai":
        parts = parts[1:]
    if len(parts) == 2 and parts[0] == "library":
        parts = parts[1:]
    return f"{'/'.join(parts)}:{tag or 'latest'}"


def spell_fully(text: str) -> str:
    """A name with its host, as Ollama gives it in some refusals: `registry.ollama.ai/library/smollm2:135m`."""
    path, colon, tag = text.partition(":")
    parts = path.split("/")
    parts = ["registry.ollama.ai", "library"][: 3 - len(parts)] + parts if len(parts) < 3 else parts
    return f"{'/'.join(parts)}:{tag if colon else 'latest'}"
