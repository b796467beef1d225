"""Rows of panels: frozen values, filled from what was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

Row = TypeVar("Row")


def fill_row(kind: type[Row], source: object, /, **given: Any) -> Row:
    """A frozen dataclass whose fields are the attributes of `source` that have the same names.

    What is `given` by name is not looked for in `source`. Raises AttributeError for a field that is in neither.
    """
    named = (entry.name for entry in fields(kind) if entry.name not in given)  # type: ignore[arg-type]
    return kind(**{name: getattr(source, name) for name in named}, **given)


def fill_texts(kind: type[Row], stored: Mapping[str, Any], /, **given: Any) -> Row:
    """A frozen dataclass whose fields are texts of `stored`, empty where it has none, or `given`."""
    named = (entry.name for entry in fields(kind) if entry.name not in given)  # type: ignore[arg-type]
    return kind(**{name: str(stored.get(name, "")) for name in named}, **given)
