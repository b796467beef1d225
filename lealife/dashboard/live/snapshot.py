"""Snapshots: the panels of a page with their fingerprints, and the HTML fragment of each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from lealife.core.digest import digest_bytes, digest_value
from lealife.core.errors import NotFound
from lealife.dashboard.candidates.panels import build_candidate_page
from lealife.dashboard.home.panels import build_home_page
from lealife.dashboard.numbers import read_number
from lealife.dashboard.runs.panel import build_run_page
from lealife.dashboard.training.panels import build_training_page

# How long a snapshot may be reused. While sockets are open it is rebuilt at least this often.
TTL_S = 2.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One page at one moment. `fingerprints` and `panels` are by panel name; `fingerprint` is the page's."""

    generated_at: datetime
    panels: dict[str, Any]
    fingerprints: dict[str, str]
    fingerprint: str

    def changed_since(self, have: dict[str, str]) -> list[str]:
        """Names of the panels that differ from what somebody has, in page order."""
        return [name for name, fingerprint in self.fingerprints.items() if have.get(name) != fingerprint]


def take_snapshot(key: str, *, now: datetime) -> Snapshot:
    """Builds `training`, `home`, `run-<id>` or `candidate-<id>` at `now`. Raises NotFound for any other key."""
    page = _build_page(key, now=now)
    panels = {entry.name: getattr(page, entry.name) for entry in fields(page) if entry.name != "generated_at"}
    fingerprints = {name: fingerprint_panel(panel) for name, panel in panels.items()}
    return Snapshot(
        generated_at=now,
        panels=panels,
        fingerprints=fingerprints,
        fingerprint=digest_value(fingerprints)[:16],
    )


def _build_page(key: str, *, now: datetime) -> Any:
    if key == "training":
        return build_training_page(now=now)
    if key == "home":
        return build_home_page(now=now)
    kind, _, rest = key.partition("-")
    number = read_number(rest)
    if number is not None and kind == "run":
        return build_run_page(number)
    if number is not None and kind == "candidate":
        return build_candidate_page(number)
    raise NotFound(f"There is no page {key[:40]!r}.")


def fingerprint_panel(panel: Any) -> str:
    """16 hex digits over the panel's values, without those marked as volatile."""
    return digest_bytes(json.dumps(panel, default=_dump_one, separators=(",", ":")).encode())[:16]


def render_fragment(snapshot: Snapshot, name: str, *, typed: Mapping[str, str] | None = None) -> SafeString:
    """The panel's HTML: the same for the page, the socket and the polling client, and for every reader.

    `typed`: what a form gave that was refused, by field; its fields show it again, on the page alone.
    """
    panel = snapshot.panels[name]
    # A fragment lies in the folder of templates that is named like its panel's folder in this package.
    folder = type(panel).__module__.split(".")[2]
    return render_to_string(
        f"{folder}/{name}.html",
        {
            "name": name,
            "panel": panel,
            "fingerprint": snapshot.fingerprints[name],
            "generated_at": snapshot.generated_at,
            "ttl_s": TTL_S,
            "typed": typed,
        },
    )


def render_fragments(
    snapshot: Snapshot, names: Iterable[str] | None = None, *, typed: Mapping[str, str] | None = None
) -> dict[str, SafeString]:
    """Fragments by name; all of them by default."""
    wanted = snapshot.panels if names is None else names
    return {name: render_fragment(snapshot, name, typed=typed) for name in wanted}


def _dump_one(value: Any) -> Any:
    """Values that JSON cannot store: a dataclass becomes its values, a time becomes text."""
    if isinstance(value, datetime):
        return value.isoformat()
    names = _name_values(type(value))
    return [getattr(value, name) for name in names]


@cache
def _name_values(kind: type) -> tuple[str, ...]:
    return tuple(entry.name for entry in fields(kind) if not entry.metadata.get("volatile"))
