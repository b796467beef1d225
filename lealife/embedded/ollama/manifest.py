"""Manifests: what decides how a tag answers; and the models that the server carries, with their first manifests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .weights import Weights


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
class Carried:
    """A model that the server carries: its names, the first of which is given to its tag, and what that tag holds."""

    names: tuple[str, ...]
    weights: Weights
    parameters: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""

    def build_manifest(self) -> Manifest:
        """Weights, their template, the parameters and the licence."""
        licence = [self.licence] if self.licence else []
        return Manifest(self.weights.digest, self.weights.template, "", dict(self.parameters), [], licence)
