"""Adoption of a new digest for an active tag with unchanged content: another Ollama version hashes it differently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from lealife.core.actors import Actor, requires
from lealife.core.errors import GateRefused
from lealife.core.gateway import OllamaPool
from promotion.applies import lock_role, switch_digest
from promotion.models import LiveApply, ModelTag
from promotion.recipes import Recipe
from training.audit import record_audit


@requires("promotion.adopt_digest")
def adopt_tags(*, server: OllamaPool, by: Actor, origin: str) -> list[LiveApply]:
    """Registers the servers' current digest for each active tag whose digest changed; each is a separate switch.

    Raises GateRefused when no digest changed, the servers disagree or a tag's content differs, ModelUnavailable when
    no server answers.
    """
    drifted = [
        (tag, digests)
        for tag in ModelTag.objects.filter(status=ModelTag.Status.ACTIVE).order_by("role")
        if (digests := set(server.read_digest(tag=tag.name).values())) != {tag.digest}
    ]
    if not drifted:
        raise GateRefused("There is nothing to adopt: every active tag has its registered digest.")
    for tag, digests in drifted:
        if len(digests) != 1 or "" in digests:
            raise GateRefused(
                f"{tag.name} is missing on a server, or has several digests. All servers must agree first."
            )
        if fault := find_difference(tag, server=server):
            raise GateRefused(f"{tag.name} is not adopted: {fault}.")
    return [_adopt(tag, digest=digests.pop(), by=by, origin=origin) for tag, digests in drifted]


def _adopt(tag: ModelTag, *, digest: str, by: Actor, origin: str) -> LiveApply:
    with transaction.atomic():
        lock_role(tag.role)
        apply = switch_digest(tag=tag, digest=digest, by=by.name)
        details = {"tag": tag.name, "from": apply.from_digest, "to": apply.to_digest}
        record_audit(actor=by, origin=origin, action="adopt digest", subject=tag.role, details=details)
        return apply


def find_difference(tag: ModelTag, *, server: OllamaPool) -> str:
    """How the tag on the servers differs from its recipe; empty when it does not."""
    recipe = Recipe.from_json(tag.recipe)
    bases = server.show_tag(tag=tag.base)
    for host, shown in server.show_tag(tag=tag.name).items():
        if fault := compare_content(shown, recipe=recipe, base=bases.get(host, {})):
            return f"{fault} on {host}"
    return ""


def compare_content(shown: Mapping[str, Any], *, recipe: Recipe, base: Mapping[str, Any]) -> str:
    """Pure: compares what `/api/show` reports for a tag with its recipe and with the report for its base."""
    if not _read_weights(base) or _read_weights(shown) != _read_weights(base):
        return f"its weights are not those of {recipe.base}"
    if shown.get("template") != base.get("template"):
        return "its template is not its base's"
    if (shown.get("system") or "") != recipe.system:
        return "its system prompt differs"
    messages = tuple((message["role"], message["content"]) for message in shown.get("messages") or [])
    if messages != recipe.messages:
        return "its example messages differ"
    wanted = {name: [_read_value(str(value))] for name, value in recipe.tag_parameters.items()}
    if _read_parameters(shown) != {**_read_parameters(base), **wanted}:
        return "its parameters differ"
    return ""


def _read_weights(shown: Mapping[str, Any]) -> list[str]:
    return [line for line in (shown.get("modelfile") or "").splitlines() if line.startswith(("FROM ", "ADAPTER "))]


def _read_parameters(shown: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Values by name; each stop text has its own line."""
    found: dict[str, list[Any]] = {}
    for line in (shown.get("parameters") or "").splitlines():
        name, _, value = line.strip().partition(" ")
        found.setdefault(name, []).append(_read_value(value.strip()))
    return found


def _read_value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
