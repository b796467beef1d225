"""Model names as Ollama compares them: `smollm2`, `Library/SmolLM2:latest` and the full address are one model."""

from __future__ import annotations

REGISTRY, NAMESPACE, LATEST = "registry.ollama.ai", "library", "latest"


def normalise_name(text: str) -> str:
    """The one spelling for all names of a model: lower case, without the default registry and namespace, with a tag.

    `host:port/namespace/name` keeps its host: only a colon after the last slash starts the tag.
    """
    name = text.strip().lower().rpartition("://")[2]
    path, slash, last = name.rpartition("/")
    model, _, tag = last.partition(":")
    folders = path.split("/") if slash else []
    if folders and folders[0] == REGISTRY:
        folders = folders[1:]
    if folders == [NAMESPACE]:
        folders = []
    return f"{'/'.join([*folders, model])}:{tag or LATEST}"
