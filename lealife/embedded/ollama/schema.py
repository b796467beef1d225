"""`format`: from Ollama's JSON schema to a llama.cpp grammar."""

from __future__ import annotations

import json
import re
from typing import Any

import xllamacpp  # type: ignore[import-untyped]  it ships no types

from .wire import ApiError

INVALID_SCHEMA = "invalid JSON schema in format"
# What stands there is data, not schema.
_DATA = ("enum", "const", "default", "examples")
# Looking ahead or back, and naming an earlier group.
_BEYOND_GRAMMARS = re.compile(r"\(\?(?:[=!]|<[=!])|\\[1-9bB]")
# Without this a small model may fill its whole budget with blanks between two fields.
_COMPACT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def read_format(value: Any) -> dict[str, Any] | None:
    """The schema a request's `format` asks for; None for free text. Raises ApiError 500, as Ollama does, if neither."""
    if value is None or value == "":
        return None
    if value == "json":
        return {"type": "object"}
    if isinstance(value, dict):
        return value
    shown = json.dumps(json.dumps(value))
    raise ApiError(500, f'invalid format: {shown}; expected "json" or a valid JSON Schema object')


def check_patterns(schema: Any) -> None:
    """Raises ApiError 500, as Ollama does, for a `pattern` that no grammar can follow.

    The grammar engine would drop the whole schema without a word, and the answer would be bound by nothing.
    """
    if isinstance(schema, list):
        for item in schema:
            check_patterns(item)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            if key == "pattern" and isinstance(value, str) and not _is_followed(value):
                raise ApiError(500, INVALID_SCHEMA)
            if key not in _DATA:
                check_patterns(value)


def _is_followed(pattern: str) -> bool:
    if not (pattern.startswith("^") and pattern.endswith("$")) or _BEYOND_GRAMMARS.search(pattern):
        return False
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def build_grammar(schema: dict[str, Any]) -> str:
    """The grammar for a schema that llama.cpp has already accepted."""
    return str(xllamacpp.json_schema_to_grammar({**close_objects(schema), "x-guidance": _COMPACT}))


def close_objects(schema: Any) -> Any:
    """Objects with named properties take no others unless they say so: Ollama reads schemas that way."""
    if isinstance(schema, list):
        return [close_objects(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: value if key in _DATA else close_objects(value) for key, value in schema.items()}
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        closed.setdefault("additionalProperties", False)
    return closed
