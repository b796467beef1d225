"""Tags: what each is made of, its digest, and their place on disk.

A manifest holds all that decides how a tag answers: weights, template, system, parameters, messages, licence.
Its digest is the sha256 of its canonical JSON: the same recipe gives the same digest under any name, on any
machine. Name, parent and time of change stand beside the manifest, not in it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import threading
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .names import BadName, normalise_name
from .weights import CARRIED_NAMES, Weights
from .wire import ApiError, format_time

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that decides how a tag answers."""

    weights: str
    template: str
    system: str
    parameters: dict[str, Any]
    messages: list[dict[str, str]]
    license: list[str]

    @property
    def canonical(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, ASCII only."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode("ascii")

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON, hex."""
        return hashlib.sha256(self.canonical).hexdigest()

    @property
    def layers(self) -> list[str]:
        """A digest for each part: the weights, then what stands beside them, as far as there is any."""
        parts = (self.template, *self.license, self.system, self.parameters, self.messages)
        texts = [part if isinstance(part, str) else json.dumps(part, sort_keys=True) for part in parts if part]
        return [f"sha256:{self.weights}", *(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" for text in texts)]


@dataclass(frozen=True, slots=True)
class Tag:
    """A name for a manifest."""

    name: str
    manifest: Manifest
    digest: str
    parent: str
    modified_at: datetime


class Registry:
    """The tags under one folder. Every write is atomic: a file is written aside, then renamed."""

    def __init__(self, *, folder: Path, weights: Weights, now: datetime) -> None:
        """Read the tags in `folder`; a folder without any (a first start) gets the carried model's tag."""
        self.weights = weights
        self._folder = folder
        self._lock = threading.Lock()
        first_start = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        # By the name in lower case: names that differ in case alone are one name, spelled as it was first.
        self._tags = {tag.name.lower(): tag for path in sorted(folder.glob("*.json")) if (tag := self._read(path))}
        if first_start:
            self.save(name=CARRIED_NAMES[0], manifest=self.build_carried(), parent="", now=now)

    def build_carried(self) -> Manifest:
        """The manifest of the model as it is carried: nothing but weights and their template."""
        return Manifest(self.weights.digest, self.weights.template, "", {}, [], [])

    def list(self) -> list[Tag]:
        """All tags, the latest changed first."""
        with self._lock:
            return sorted(self._tags.values(), key=lambda tag: (tag.modified_at, tag.name), reverse=True)

    def get(self, name: str) -> Tag:
        """The tag of that name. Raises ApiError 404 in Ollama's words when there is none."""
        tag = self.find(name)
        if tag is None:
            raise ApiError(404, f"model '{name}' not found")
        return tag

    def find(self, name: str) -> Tag | None:
        """The tag of that name, in whatever case it is written; None when there is none or it is no name."""
        try:
            return self._tags.get(normalise_name(name).lower())
        except BadName:
            return None

    def has_layer(self, digest: str) -> bool:
        """Whether a tag already uses that layer."""
        with self._lock:
            return any(digest in tag.manifest.layers for tag in self._tags.values())

    def save(self, *, name: str, manifest: Manifest, parent: str, now: datetime) -> Tag:
        """Write a tag, replacing any of that name; the same manifest again keeps its time of change."""
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
        """Remove a tag. Raises ApiError 404 when there is none."""
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
        """A tag from its file; None, with a log line, when it is damaged or needs other weights."""
        try:
            record = json.loads(path.read_text(encoding="ascii"))
            manifest = Manifest(**record["manifest"])
            changed = datetime.fromisoformat(record["modified_at"])
            tag = Tag(normalise_name(record["name"]), manifest, manifest.digest, record["parent"], changed)
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("left out %s: it cannot be read (%s)", path.name, error)
            return None
        if manifest.weights != self.weights.digest:
            log.warning("left out %s: it needs weights %s", path.name, manifest.weights[:12])
            return None
        return tag
