"""Rows of panels: frozen values, filled from what was read."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any, TypeVar

Row = TypeVar("Row")


def fill_row(kind: type[Row], source: object, /, **given: Any) -> Row:
    """A frozen dataclass whose fields are the attributes of `source` that have the same names.

    What is `given` by name is not looked for in `source`. Raises AttributeError for a field that is in neither.
    """
    return kind(**{name: getattr(source, name) for name in _name_fields(kind) if name not in given}, **given)


@cache
def _name_fields(kind: type) -> tuple[str, ...]:
    return tuple(entry.name for entry in fields(kind))
