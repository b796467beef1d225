"""What each address of Ollama's API means. No HTTP here: bodies in, answers out through an Exchange."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Protocol

from .names import BadName, normalise_name
from .registry import Manifest, Registry, Tag
from .residency import Residency
from .sampling import read_options
from .weights import CARRIED_NAMES
from .wire import NOT_PULLABLE, ApiError, format_time, now, require_messages, require_text

# The API this subset follows; what stands behind the plus tells it from a real Ollama.
VERSION = "0.13.0+lealife"
CAPABILITIES = ["completion", "embedding"]


class Exchange(Protocol):
    """One request: its body, and the ways to answer it."""

    body: dict[str, Any]

    @property
    def is_streamed(self) -> bool:
        """Whether the client takes the answer line by line (Ollama's default)."""

    def emit(self, line: dict[str, Any]) -> None:
        """Send one line of a streamed answer; in an answer at once it is left out."""

    def answer(self, document: dict[str, Any]) -> None:
        """Send the last line of a streamed answer, or the whole answer."""

    def is_gone(self) -> bool:
        """Whether the client hung up."""


class TagApi:
    """Everything about tags: list, show, create, copy, delete, pull, and what is loaded."""

    def __init__(self, *, registry: Registry, residency: Residency) -> None:
        self.registry = registry
        self.residency = residency

    def version(self, exchange: Exchange) -> None:
        """`GET /api/version`."""
        exchange.answer({"version": VERSION})

    def tags(self, exchange: Exchange) -> None:
        """`GET /api/tags`: all tags, the latest changed first."""
        exchange.answer({"models": [self._describe(tag) for tag in self.registry.list()]})

    def ps(self, exchange: Exchange) -> None:
        """`GET /api/ps`: the loaded tags."""
        exchange.answer(
            {
                "models": [
                    {
                        "name": resident.name,
                        "model": resident.name,
                        "size": self.registry.weights.size,
                        "digest": resident.digest,
                        "details": self.registry.weights.describe(parent=""),
                        "expires_at": format_time(resident.expires_at),
                        "size_vram": 0,
                        "context_length": resident.num_ctx,
                    }
                    for resident in self.residency.list(now=now())
                ]
            }
        )

    def show(self, exchange: Exchange) -> None:
        """`POST /api/show`."""
        tag = self.registry.get(_require_name(exchange.body))
        manifest = tag.manifest
        shown: dict[str, Any] = {
            "license": "\n".join(manifest.license),
            "modelfile": _write_modelfile(tag, path=str(self.registry.weights.path)),
            "parameters": "\n".join(f"{k:<30} {v}" for k, v in _flatten(manifest.parameters)),
            "template": manifest.template,
            "system": manifest.system,
            "details": self.registry.weights.describe(parent=tag.parent),
            "messages": manifest.messages,
            "model_info": self.registry.weights.model_info,
            "capabilities": CAPABILITIES,
            "modified_at": format_time(tag.modified_at),
        }
        optional = ("license", "parameters", "system", "messages")
        exchange.answer({key: value for key, value in shown.items() if value or key not in optional})

    def create(self, exchange: Exchange) -> None:
        """`POST /api/create`: a tag from another one, inheriting all that is not given anew."""
        body = exchange.body
        name = _normalise(body.get("model") or body.get("name"))
        for field in ("files", "adapters", "quantize"):
            if body.get(field):
                raise ApiError(400, f"this server creates models from the weights it carries: no {field}")
        source = require_text(body, "from")
        if not source:
            raise ApiError(400, "neither 'from' or 'files' was specified")
        try:
            base = self.registry.get(source)
            manifest, parent = base.manifest, base.name
        except ApiError:
            manifest, parent = self._carry(source), _normalise(source)
        recipe = _change_recipe(manifest, body)
        exchange.emit({"status": f"using existing layer sha256:{recipe.weights}"})
        exchange.emit({"status": "writing manifest"})
        self.registry.save(name=name, manifest=recipe, parent=parent, now=now())
        exchange.answer({"status": "success"})

    def copy(self, exchange: Exchange) -> None:
        """`POST /api/copy`: another name for the same manifest."""
        source, destination = (require_text(exchange.body, field) for field in ("source", "destination"))
        for field, name in (("source", source), ("destination", destination)):
            try:
                normalise_name(name)
            except BadName as error:
                raise ApiError(400, f"{field} {json.dumps(name)} is invalid") from error
        try:
            tag = self.registry.get(source)
        except ApiError as error:
            raise ApiError(404, f"model {json.dumps(source)} not found") from error
        self.registry.save(name=destination, manifest=tag.manifest, parent=tag.parent, now=now())
        exchange.answer({})

    def delete(self, exchange: Exchange) -> None:
        """`DELETE /api/delete`."""
        self.residency.drop(self.registry.delete(_require_name(exchange.body)).name)
        exchange.answer({})

    def pull(self, exchange: Exchange) -> None:
        """`POST /api/pull`: only the model that is carried; all else does not exist, in Ollama's words."""
        name = _normalise(_require_name(exchange.body))
        exchange.emit({"status": "pulling manifest"})
        manifest = self._carry(name)
        layer, size = f"sha256:{manifest.weights}", self.registry.weights.size
        exchange.emit({"status": f"pulling {manifest.weights[:12]}", "digest": layer, "total": size, "completed": size})
        exchange.emit({"status": "verifying sha256 digest"})
        exchange.emit({"status": "writing manifest"})
        self.registry.save(name=name, manifest=manifest, parent="", now=now())
        exchange.answer({"status": "success"})

    def _carry(self, name: str) -> Manifest:
        if _normalise(name) not in CARRIED_NAMES:
            raise ApiError(500, NOT_PULLABLE)
        return self.registry.build_carried()

    def _describe(self, tag: Tag) -> dict[str, Any]:
        return {
            "name": tag.name,
            "model": tag.name,
            "modified_at": format_time(tag.modified_at),
            "size": self.registry.weights.size + len(tag.manifest.canonical),
            "digest": tag.digest,
            "details": self.registry.weights.describe(parent=tag.parent),
        }


def _require_name(body: dict[str, Any]) -> str:
    name = require_text(body, "model") or require_text(body, "name")
    if not name:
        raise ApiError(400, "model is required")
    return name


def _normalise(name: Any) -> str:
    try:
        return normalise_name(name if isinstance(name, str) else "")
    except BadName as error:
        raise ApiError(400, "invalid model name") from error


def _change_recipe(base: Manifest, body: dict[str, Any]) -> Manifest:
    """The base with what the request gives anew. Parameters are merged, everything else is replaced."""
    licences = body.get("license") or base.license
    licences = [licences] if isinstance(licences, str) else licences
    if not isinstance(licences, list) or not all(isinstance(text, str) for text in licences):
        raise ApiError(400, "field license must be a text or a list of texts")
    return replace(
        base,
        template=require_text(body, "template") or base.template,
        system=require_text(body, "system") or base.system,
        parameters={**base.parameters, **read_options(body.get("parameters"))},
        messages=require_messages(body.get("messages")) or base.messages,
        license=licences,
    )


def _flatten(parameters: dict[str, Any]) -> list[tuple[str, str]]:
    """Parameters as lines of a Modelfile: one line for each stop text, texts in quotes."""
    return [
        (name, json.dumps(item) if isinstance(item, str) else f"{item:g}")
        for name, value in sorted(parameters.items())
        for item in (value if isinstance(value, list) else [value])
    ]


def _write_modelfile(tag: Tag, *, path: str) -> str:
    manifest = tag.manifest
    lines = [
        '# Modelfile generated by "ollama show"',
        "# To build a new Modelfile based on this, replace FROM with:",
        f"# FROM {tag.name}",
        "",
        f"FROM {path}",
        f'TEMPLATE """{manifest.template}"""',
    ]
    if manifest.system:
        lines.append(f'SYSTEM """{manifest.system}"""')
    lines += [f"PARAMETER {name} {value}" for name, value in _flatten(manifest.parameters)]
    lines += [f'MESSAGE {message["role"]} """{message["content"]}"""' for message in manifest.messages]
    lines += [f'LICENSE """{text}"""' for text in manifest.license]
    return "\n".join(lines) + "\n"
