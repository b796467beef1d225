"""What is kept on disk: tags, what each is made of, and files that were sent.

A manifest holds all that decides how a tag answers: weights, template, system, parameters, messages, licence.
Its digest is the sha256 of its canonical JSON: the same recipe gives the same digest under any name, on any
machine. Name, parent and time of change are stored next to the manifest, not in it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import tempfile
import threading
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .weights import CARRIED_NAMES, Weights
from .wire import ApiError, format_time

log = logging.getLogger(__name__)

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_DIGEST = re.compile(r"sha256[:-]([0-9a-fA-F]{64})")
_GGUF = b"GGUF"


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
        """A digest for each part that is there: the weights first."""
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
    """The tags under one folder. Every write is atomic: it writes a second file and renames it."""

    def __init__(self, *, folder: Path, weights: Weights, now: datetime) -> None:
        """Reads the tags in `folder`. When the folder is new, it gets the carried model's tag."""
        self.weights = weights
        self._folder = folder
        self._lock = threading.Lock()
        first_start = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        # The keys are in lower case: names that differ only in case are one name. It keeps its first spelling.
        self._tags = {tag.name.lower(): tag for path in sorted(folder.glob("*.json")) if (tag := self._read(path))}
        if first_start:
            self.save(name=CARRIED_NAMES[0], manifest=self.build_carried(), parent="", now=now)

    def build_carried(self) -> Manifest:
        """The manifest of the carried model: only weights and their template."""
        return Manifest(self.weights.digest, self.weights.template, "", {}, [], [])

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
        if manifest.weights != self.weights.digest:
            log.warning("left out %s: it needs weights %s", path.name, manifest.weights[:12])
            return None
        return tag


class Blobs:
    """Files that clients sent, under one folder. A create may name them, but this server cannot use them."""

    def __init__(self, *, folder: Path) -> None:
        self._folder = folder

    def has(self, digest: str) -> bool:
        """Whether a file of that digest is here. Raises ApiError 400 for what is not a digest."""
        return self._path(digest).exists()

    def save(self, digest: str, content: bytes) -> None:
        """Keeps a file. Raises ApiError 400 when it has another digest."""
        path, found = self._path(digest), hashlib.sha256(content).hexdigest()
        if not path.name.endswith(found):
            raise ApiError(400, f'digest mismatch, expected "{digest}", got "sha256:{found}"')
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".part", delete=False) as aside:
            aside.write(content)
        Path(aside.name).replace(path)

    def refuse_adapters(self, files: dict[str, str]) -> None:
        """Raises ApiError: Ollama's own for a file that is missing or not gguf, else that it takes no adapters."""
        self._refuse_unreadable(files, missing=400)
        raise ApiError(400, "adapters are not supported by this server: it carries one model as it is")

    def refuse_files(self, files: dict[str, str]) -> None:
        """Raises ApiError: Ollama's own for a file that is missing or not gguf, else that it takes no files."""
        self._refuse_unreadable(files, missing=500)
        raise ApiError(400, "files are not supported by this server: it carries one model as it is")

    def _refuse_unreadable(self, files: dict[str, str], *, missing: int) -> None:
        for digest in files.values():
            path = self._path(digest)
            if not path.exists():
                raise ApiError(missing, f"open {path}: no such file or directory")
            with path.open("rb") as file:
                if file.read(len(_GGUF)) != _GGUF:
                    raise ApiError(400, "supplied file was not in GGUF format")

    def _path(self, digest: str) -> Path:
        found = _DIGEST.fullmatch(digest)
        if found is None:
            raise ApiError(400, "invalid digest format")
        return self._folder / f"sha256-{found[1].lower()}"


class BadName(ValueError):
    """The text is not a model name."""


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
