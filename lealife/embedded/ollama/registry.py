"""What is kept on disk: tags, and what each is made of.

A manifest holds all that decides how a tag answers: weights, template, system, parameters, messages, licence.
Its digest is the sha256 of its canonical JSON: the same recipe gives the same digest under any name, on any
machine. Name, parent and time of change are stored next to the manifest, not in it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from .manifest import Carried, Manifest
from .weights import Weights
from .wire import ApiError, format_time

log = logging.getLogger(__name__)

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")


@dataclass(frozen=True, slots=True)
class Tag:
    """A name for a manifest."""

    name: str
    manifest: Manifest
    digest: str
    parent: str
    modified_at: datetime


class Registry:
    """The tags under one folder. Every write is atomic: it writes a second file and renames it."""

    def __init__(self, *, folder: Path, carried: Sequence[Carried], now: datetime) -> None:
        """Reads the tags in `folder`. Each carried model gets its tag once: when that is deleted, it stays away."""
        self._carried: dict[str, Manifest] = {}
        self._weights: dict[str, Weights] = {}
        for model in carried:
            self._add(model)
        self._folder = folder
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        # The keys are in lower case: names that differ only in case are one name. It keeps its first spelling.
        self._tags = {tag.name.lower(): tag for path in sorted(folder.glob("*.json")) if (tag := self._read(path))}
        self._offer(carried, tagged_at=now)

    def carry(self, model: Carried) -> None:
        """Carries one more model from now on. It gets no tag by this."""
        with self._lock:
            self._add(model)
            self._offer([model], tagged_at=None)

    def _add(self, model: Carried) -> None:
        self._carried |= dict.fromkeys(model.names, model.build_manifest())
        self._weights[model.weights.digest] = model.weights

    def _offer(self, carried: Sequence[Carried], *, tagged_at: datetime | None) -> None:
        """Notes the models that were never offered. Each gets its tag, unless `tagged_at` is None."""
        # Not a .json file, so that it is no tag.
        record = self._folder / "offered"
        offered = record.read_text(encoding="ascii").split() if record.exists() else []
        new = [model for model in carried if model.weights.digest not in offered]
        for model in new:
            if tagged_at and self.find(model.names[0]) is None:
                self.save(name=model.names[0], manifest=model.build_manifest(), parent="", now=tagged_at)
        if new:
            record.write_text("\n".join([*offered, *(model.weights.digest for model in new)]) + "\n", encoding="ascii")

    def find_carried(self, name: str) -> Manifest | None:
        """The manifest of the carried model of that normalised name; None when the server carries none."""
        return self._carried.get(name)

    def get_weights(self, digest: str) -> Weights:
        """The carried weights of that digest."""
        return self._weights[digest]

    def list(self) -> list[Tag]:
        """All tags, the last changed first."""
        with self._lock:
            return sorted(self._tags.values(), key=lambda tag: (tag.modified_at, tag.name), reverse=True)

    def get(self, name: str) -> Tag:
        """The tag of that name. Raises ApiError 404, as Ollama does, when there is none."""
        tag = self.find(name)
        if tag is None:
            raise ApiError(404, f"model '{name}' not found")
        return tag

    def find(self, name: str) -> Tag | None:
        """The tag of that name, upper or lower case; None when there is none or it is not a valid name."""
        try:
            return self._tags.get(normalise_name(name).lower())
        except BadName:
            return None

    def has_layer(self, digest: str) -> bool:
        """Whether a tag already uses that layer."""
        with self._lock:
            return any(digest in tag.manifest.layers for tag in self._tags.values())

    def save(self, *, name: str, manifest: Manifest, parent: str, now: datetime) -> Tag:
        """Writes a tag and replaces the one of that name. The same manifest again keeps its time of change."""
        spelled = normalise_name(name)
        with self._lock:
            old = self._tags.get(spelled.lower())
            tag = Tag(old.name if old else spelled, manifest, manifest.digest, parent, now)
            if old is not None and replace(old, modified_at=now) == tag:
                return old
            self._write(tag)
            self._tags[tag.name.lower()] = tag
        return tag

    def delete(self, name: str) -> Tag:
        """Removes a tag. Raises ApiError 404 when there is none."""
        tag = self.get(name)
        with self._lock:
            self._path(tag.name).unlink(missing_ok=True)
            self._tags.pop(tag.name.lower(), None)
        return tag

    def _path(self, name: str) -> Path:
        return self._folder / f"{quote(name, safe='')}.json"

    def _write(self, tag: Tag) -> None:
        record = {
            "name": tag.name,
            "manifest": asdict(tag.manifest),
            "parent": tag.parent,
            "modified_at": format_time(tag.modified_at),
        }
        handle, aside = tempfile.mkstemp(dir=self._folder, suffix=".part")
        with os.fdopen(handle, "w", encoding="ascii") as file:
            json.dump(record, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(self._path(tag.name))

    def _read(self, path: Path) -> Tag | None:
        """A tag from its file. None, with a log line, when the file is damaged or needs other weights."""
        try:
            record = json.loads(path.read_text(encoding="ascii"))
            manifest = Manifest(**record["manifest"])
            changed = datetime.fromisoformat(record["modified_at"])
            tag = Tag(normalise_name(record["name"]), manifest, manifest.digest, record["parent"], changed)
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("left out %s: cannot read it (%s)", path.name, error)
            return None
        if manifest.weights not in self._weights:
            log.warning("left out %s: it needs weights %s", path.name, manifest.weights[:12])
            return None
        return tag


class BadName(ValueError):
    """The text is not a model name."""


def check_name(text: str, *, invalid: ApiError) -> str:
    """The normalised name. Raises `invalid` for what is not a model name."""
    try:
        return normalise_name(text)
    except BadName as error:
        raise invalid from error


def normalise_name(text: str) -> str:
    """The form in which a name is stored and shown: without the default host and namespace, with a tag.

    `smollm2`, `library/smollm2:latest` and `registry.ollama.ai/library/smollm2` are one model.

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
    """A name with its host, as in some of Ollama's errors: `registry.ollama.ai/library/smollm2:135m`."""
    path, colon, tag = text.partition(":")
    parts = path.split("/")
    parts = ["registry.ollama.ai", "library"][: 3 - len(parts)] + parts if len(parts) < 3 else parts
    return f"{'/'.join(parts)}:{tag if colon else 'latest'}"
