"""The small part of JSON Schema that a success check may use: type, properties, required, enum, items."""

from __future__ import annotations

from typing import Any

DEPTH_MAX = 8
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}
_ANNOTATIONS = frozenset({"title", "description"})
_KEYWORDS = frozenset({"type", "properties", "required", "enum", "items"})


def check_schema(schema: Any, *, depth: int = 0) -> None:
    """Raises ValueError for what is no schema, and for a keyword that would go unchecked."""
    if not isinstance(schema, dict) or depth > DEPTH_MAX:
        raise ValueError(f"json_schema is a JSON object, nested up to {DEPTH_MAX} deep")
    unknown = sorted(set(schema) - _KEYWORDS - _ANNOTATIONS)
    if unknown:
        raise ValueError(f"json_schema cannot check {unknown[0]!r}; it knows {', '.join(sorted(_KEYWORDS))}")
    if "type" in schema and (not isinstance(schema["type"], str) or schema["type"] not in TYPES):
        raise ValueError(f"json_schema's type is one of {', '.join(TYPES)}")
    for keyword in ("required", "enum"):
        if not isinstance(schema.get(keyword, []), list):
            raise ValueError(f"json_schema's {keyword} is a list")
    parts = schema.get("properties", {})
    if not isinstance(parts, dict):
        raise ValueError("json_schema's properties is an object")
    for part in [*parts.values(), *([schema["items"]] if "items" in schema else [])]:
        check_schema(part, depth=depth + 1)


def find_mismatch(value: Any, schema: dict[str, Any], *, place: str = "the answer") -> str:
    """Where a value breaks a schema that `check_schema` accepts, in words; empty when it does not."""
    kind = schema.get("type")
    if kind is not None and not _is_of_type(value, kind):
        return f"{place} is not of type {kind}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{place} is none of the allowed values"
    problems = ""
    if isinstance(value, dict):
        problems = _find_in_object(value, schema, place)
    elif isinstance(value, list) and "items" in schema:
        found = (find_mismatch(item, schema["items"], place=f"{place}[{number}]") for number, item in enumerate(value))
        problems = next(filter(None, found), "")
    return problems


def _is_of_type(value: Any, kind: str) -> bool:
    # In Python a bool is an int; in JSON it is not.
    is_bool_as_number = isinstance(value, bool) and kind in ("integer", "number")
    return isinstance(value, TYPES[kind]) and not is_bool_as_number


def _find_in_object(value: dict[str, Any], schema: dict[str, Any], place: str) -> str:
    missing = [name for name in schema.get("required", ()) if name not in value]
    if missing:
        return f"{place} has no {missing[0]!r}"
    found = (
        find_mismatch(value[name], part, place=f"{place}.{name}")
        for name, part in schema.get("properties", {}).items()
        if name in value
    )
    return next(filter(None, found), "")
