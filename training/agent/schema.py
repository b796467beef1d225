"""The small part of JSON Schema that a success check may use: type, properties, required, enum, items."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator, SchemaError
from jsonschema.exceptions import best_match

DEPTH_MAX = 8
_ANNOTATIONS = frozenset({"title", "description"})
_KEYWORDS = frozenset({"type", "properties", "required", "enum", "items"})


def check_schema(schema: Any) -> None:
    """Raises ValueError for an invalid schema, and for keywords that a check may not use."""
    _check_keywords(schema, depth=0)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"json_schema is not valid at {error.json_path}: {error.message}") from None


def find_mismatch(value: Any, schema: dict[str, Any]) -> str:
    """How a value violates a schema that `check_schema` accepts, in words; empty when it does not."""
    error = best_match(Draft202012Validator(schema).iter_errors(value))
    return "" if error is None else f"the answer{error.json_path.removeprefix('$')}: {error.message}"


def _check_keywords(schema: Any, *, depth: int) -> None:
    if not isinstance(schema, dict) or depth > DEPTH_MAX:
        raise ValueError(f"json_schema is a JSON object, nested up to {DEPTH_MAX} deep")
    unknown = sorted(set(schema) - _KEYWORDS - _ANNOTATIONS)
    if unknown:
        raise ValueError(f"json_schema cannot check {unknown[0]!r}; it knows {', '.join(sorted(_KEYWORDS))}")
    if not isinstance(schema.get("type", ""), str):
        raise ValueError("json_schema's type is one name")
    properties = schema.get("properties", {})
    parts = list(properties.values()) if isinstance(properties, dict) else []
    for part in [*parts, *([schema["items"]] if "items" in schema else [])]:
        _check_keywords(part, depth=depth + 1)
