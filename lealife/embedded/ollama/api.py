"""The addresses about tags. Each takes the body of an Exchange and answers through it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .blobs import Blobs
from .exchange import Exchange
from .manifest import Carried, Manifest
from .occupancy import Residency, Resident
from .options import settle_parameters
from .prompts import read_template
from .pulled import Pullable, find_pullable, pull_model
from .registry import Registry, Tag, check_name, spell_fully
from .wire import NOT_PULLABLE, ApiError, format_time, now

# The version of Ollama whose API this follows. The part after the plus shows that it is not Ollama itself.
VERSION = "0.17.4+lealife"
_TEXT_PARAMETERS = ("stop",)


class TagApi:
    """Everything about tags: list, show, create, copy, delete, pull, push, and what is loaded."""

    def __init__(
        self, *, registry: Registry, residency: Residency, blobs: Blobs, on_pulled: Callable[[Carried], None]
    ) -> None:
        """`on_pulled` is called with each model that was fetched, before it gets its tag."""
        self.registry = registry
        self.residency = residency
        self.blobs = blobs
        self._on_pulled = on_pulled
        self._pulling = threading.Lock()

    def version(self, exchange: Exchange) -> None:
        """`GET /api/version`."""
        exchange.answer({"version": VERSION})

    def tags(self, exchange: Exchange) -> None:
        """`GET /api/tags`: all tags, the last changed first."""
        exchange.answer({"models": [self._describe(tag) for tag in self.registry.list()]})

    def ps(self, exchange: Exchange) -> None:
        """`GET /api/ps`: the loaded tags."""
        exchange.answer({"models": [self._describe_loaded(resident) for resident in self.residency.list(now=now())]})

    def show(self, exchange: Exchange) -> None:
        """`POST /api/show`."""
        name = _read_name(exchange)
        if not name:
            raise ApiError(400, "model is required")
        check_name(name, invalid=ApiError(500, f"unqualified name: {spell_fully(name)}"))
        tag = self.registry.get(name)
        manifest, weights = tag.manifest, self.registry.get_weights(tag.manifest.weights)
        shown: dict[str, Any] = {
            "license": "\n".join(manifest.license),
            "modelfile": _write_modelfile(tag, path=str(weights.path)),
            "parameters": _list_parameters(tag),
            "template": manifest.template,
            "system": manifest.system,
            "details": weights.describe(parent=tag.parent),
            "messages": manifest.messages,
            "model_info": weights.read_info(verbose=bool(exchange.body.get("verbose"))),
            "tensors": weights.tensors,
            "capabilities": weights.capabilities,
            "modified_at": format_time(tag.modified_at),
        }
        optional = ("license", "parameters", "system", "messages")
        exchange.answer({key: value for key, value in shown.items() if value or key not in optional})

    def create(self, exchange: Exchange) -> None:
        """`POST /api/create`: a tag from another one, which keeps all that the request does not give."""
        body = exchange.body
        name = _normalise(_read_name(exchange))
        exchange.detach()
        for what, missing in (("adapters", 400), ("files", 500)):
            if files := body.get(what):
                self.blobs.refuse(files, what=what, missing=missing)
        source = body.get("from", "")
        if not source:
            raise ApiError(400, "neither 'from' or 'files' was specified")
        normal = _normalise(source)
        base = self.registry.find(source)
        if base is None:
            exchange.emit({"status": "pulling manifest"})
        manifest, parent = (base.manifest, base.name) if base else (self._carry(source), normal)
        if body.get("quantize"):
            raise ApiError(500, "quantization is only supported for F16 and F32 models")
        recipe = _change_recipe(manifest, body)
        for layer in recipe.layers:
            what = "using existing" if self.registry.has_layer(layer) else "creating new"
            exchange.emit({"status": f"{what} layer {layer}"})
        exchange.emit({"status": "writing manifest"})
        self.registry.save(name=name, manifest=recipe, parent=parent, now=now())
        exchange.answer({"status": "success"})

    def copy(self, exchange: Exchange) -> None:
        """`POST /api/copy`: another name for the same manifest."""
        source, destination = (exchange.body.get(field, "") for field in ("source", "destination"))
        for field, name in (("source", source), ("destination", destination)):
            check_name(name, invalid=ApiError(400, f"{field} {json.dumps(name)} is invalid"))
        tag = self.registry.find(source)
        if tag is None:
            raise ApiError(404, f"model {json.dumps(source)} not found")
        self.registry.save(name=destination, manifest=tag.manifest, parent=tag.parent, now=now())
        exchange.close()

    def delete(self, exchange: Exchange) -> None:
        """`DELETE /api/delete`."""
        name = _read_name(exchange)
        check_name(name, invalid=ApiError(400, f"name {json.dumps(name)} is invalid"))
        self.residency.drop(self.registry.delete(name).name)
        exchange.close()

    def pull(self, exchange: Exchange) -> None:
        """`POST /api/pull`: a model that is carried or can be fetched. Of others Ollama's error: it does not exist."""
        name = _normalise(_read_name(exchange))
        exchange.detach()
        exchange.emit({"status": "pulling manifest"})
        model = find_pullable(name)
        if model is not None and self.registry.find_carried(name) is None:
            self._fetch(model, exchange)
        manifest = self._carry(name)
        layer, size = f"sha256:{manifest.weights}", self.registry.get_weights(manifest.weights).size
        exchange.emit({"status": f"pulling {manifest.weights[:12]}", "digest": layer, "total": size, "completed": size})
        exchange.emit({"status": "verifying sha256 digest"})
        exchange.emit({"status": "writing manifest"})
        self.registry.save(name=name, manifest=manifest, parent="", now=now())
        exchange.answer({"status": "success"})

    def _fetch(self, model: Pullable, exchange: Exchange) -> None:
        layer = {"status": f"pulling {model.digest[:12]}", "digest": f"sha256:{model.digest}", "total": model.size}
        with self._pulling:
            if self.registry.find_carried(model.names[0]) is not None:
                # Another request fetched it meanwhile.
                return
            pulled = pull_model(
                model, self.blobs.folder, on_progress=lambda size: exchange.emit(layer | {"completed": size})
            )
            self._on_pulled(pulled)
            self.registry.carry(pulled)

    def push(self, exchange: Exchange) -> None:
        """`POST /api/push`: this server sends nothing anywhere."""
        name = _read_name(exchange)
        if not name:
            raise ApiError(400, "model is required")
        exchange.detach()
        tag = self.registry.get(name)
        raise ApiError(500, f"push {tag.name}: this server sends no model anywhere")

    def has_blob(self, exchange: Exchange, digest: str) -> None:
        """`HEAD /api/blobs/{digest}`."""
        if not self.blobs.has(digest):
            raise ApiError(404, f"blob {json.dumps(digest)} not found")
        exchange.close()

    def save_blob(self, exchange: Exchange, digest: str, content: bytes) -> None:
        """`POST /api/blobs/{digest}`: keep a file for a later create."""
        known = self.blobs.has(digest)
        if not known:
            self.blobs.save(digest, content)
        exchange.close(200 if known else 201)

    def _carry(self, name: str) -> Manifest:
        manifest = self.registry.find_carried(_normalise(name))
        if manifest is None:
            raise ApiError(500, NOT_PULLABLE)
        return manifest

    def _describe(self, tag: Tag) -> dict[str, Any]:
        weights = self.registry.get_weights(tag.manifest.weights)
        return {
            "name": tag.name,
            "model": tag.name,
            "modified_at": format_time(tag.modified_at),
            "size": weights.size + len(tag.manifest.canonical),
            "digest": tag.digest,
            "details": weights.describe(parent=""),
        }

    def _describe_loaded(self, resident: Resident) -> dict[str, Any]:
        tag, weights = resident.tag, self.registry.get_weights(resident.tag.manifest.weights)
        return {
            "name": tag.name,
            "model": tag.name,
            "size": weights.size,
            "digest": tag.digest,
            "details": weights.describe(parent=""),
            "expires_at": format_time(resident.expires_at),
            "size_vram": 0,
            "context_length": resident.num_ctx,
        }


def _read_name(exchange: Exchange) -> str:
    """The tag that the request names, in the field of today or the older one."""
    return exchange.body.get("model") or exchange.body.get("name") or ""


def _normalise(name: str) -> str:
    return check_name(name, invalid=ApiError(400, "invalid model name"))


def _change_recipe(base: Manifest, body: dict[str, Any]) -> Manifest:
    """The base with what the request gives. Parameters are merged, everything else is replaced."""
    licences = body.get("license") or base.license
    licences = [licences] if isinstance(licences, str) else licences
    if not isinstance(licences, list) or not all(isinstance(text, str) for text in licences):
        raise ApiError(400, "invalid license type")
    template = body.get("template") or base.template
    if template != base.template:
        read_template(template)
    turns = [{"role": turn["role"], "content": turn["content"]} for turn in body.get("messages") or []]
    return replace(
        base,
        template=template,
        system=body.get("system") or base.system,
        parameters={**base.parameters, **settle_parameters(body.get("parameters") or {})},
        messages=turns or base.messages,
        license=licences,
    )


def _flatten(parameters: dict[str, Any]) -> list[tuple[str, Any]]:
    """Parameters as lines of a Modelfile; each stop text has its own line."""
    return [
        (name, f"{item:g}" if isinstance(item, int | float) and not isinstance(item, bool) else item)
        for name, value in sorted(parameters.items())
        for item in (value if isinstance(value, list) else [value])
    ]


def _list_parameters(tag: Tag) -> str:
    return "\n".join(
        f"{name:<30} {value if name not in _TEXT_PARAMETERS else json.dumps(value)}"
        for name, value in _flatten(tag.manifest.parameters)
    )


def _write_modelfile(tag: Tag, *, path: str) -> str:
    manifest = tag.manifest
    lines = [
        '# Modelfile generated by "ollama show"',
        "# To build a new Modelfile based on this, replace FROM with:",
        f"# FROM {tag.name}",
        "",
        f"FROM {path}",
        f"TEMPLATE {_quote(manifest.template)}",
    ]
    if manifest.system:
        lines.append(f"SYSTEM {_quote(manifest.system)}")
    lines += [f"PARAMETER {name} {_quote(str(value))}" for name, value in _flatten(manifest.parameters)]
    lines += [f"LICENSE {_quote(text)}" for text in manifest.license]
    lines += [f"MESSAGE {message['role']} {_quote(message['content'])}" for message in manifest.messages]
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    """A text as a Modelfile has it: quoted when it has several lines, or spaces at an end."""
    if "\n" not in text and text == text.strip(" "):
        return text
    return f'"""{text}"""' if '"' in text else f'"{text}"'
