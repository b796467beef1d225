"""Digests of values: sha256 over canonical JSON."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_value(value: Any) -> str:
    """sha256 of the canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def digest_bytes(data: bytes) -> str:
    """sha256 of bytes, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def unit_interval(*parts: object) -> float:
    """A number in [0, 1) that depends only on its parts: a reproducible coin."""
    return int(digest_value([str(part) for part in parts])[:13], 16) / 16**13


def short_digest(digest: str) -> str:
    """The first twelve hex digits, enough to tell digests apart by eye, without the name of the algorithm."""
    return digest.removeprefix("sha256:")[:12]
