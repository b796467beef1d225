"""`format`: from Ollama's JSON schema to a llama.cpp grammar."""

from __future__ import annotations

import json
from typing import Any

import xllamacpp  # type: ignore[import-untyped]  it ships no types

from .wire import ApiError

# Without this a small model may fill its whole budget with blanks between two fields.
_COMPACT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def read_format(value: Any) -> dict[str, Any] | None:
    """The schema a request's `format` asks for; None for free text. Raises ApiError 400 for anything else."""
    if value is None or value == "":
        return None
    if value == "json":
        return {"type": "object"}
    if isinstance(value, dict):
        return value
    raise ApiError(400, f'invalid format: {json.dumps(value)}; expected "json" or a valid JSON Schema object')


def build_grammar(schema: dict[str, Any]) -> str:
    """The grammar for a schema that llama.cpp has already accepted."""
    return str(xllamacpp.json_schema_to_grammar({**close_objects(schema), "x-guidance": _COMPACT}))


def close_objects(schema: Any) -> Any:
    """Objects with named properties take no others unless they say so: Ollama reads schemas that way."""
    if isinstance(schema, list):
        return [close_objects(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # What stands in enum, const and the like is data, not schema.
    closed = {
        key: value if key in ("enum", "const", "default", "examples") else close_objects(value)
        for key, value in schema.items()
    }
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        closed.setdefault("additionalProperties", False)
    return closed


def check_text(text: str) -> None:
    """A finished constrained answer must be JSON. Raises ApiError 500 when the grammar was not applied.

    The grammar engine drops a grammar that it cannot build (a broken `pattern`) without a word.
    """
    try:
        json.loads(text)
    except ValueError as error:
        raise ApiError(500, "the JSON schema in format could not be followed") from error
