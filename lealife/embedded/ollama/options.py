"""Options and `format` of a request or a tag, in llama.cpp's terms: sampling fields and grammars."""

from __future__ import annotations

import json
import logging
import math
import re
from typing import Any

import xllamacpp  # type: ignore[import-untyped]  # it ships no types

from .wire import ApiError

log = logging.getLogger(__name__)

DEFAULTS: dict[str, Any] = {
    "temperature": 0.8,
    "top_k": 40,
    "top_p": 0.9,
    "min_p": 0.0,
    "typical_p": 1.0,
    "repeat_last_n": 64,
    "repeat_penalty": 1.1,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "seed": -1,
    "num_predict": -1,
    "num_ctx": 4096,
    "num_keep": 0,
    "stop": [],
}
FLOATS = tuple(name for name, value in DEFAULTS.items() if isinstance(value, float))
INTS = tuple(name for name, value in DEFAULTS.items() if isinstance(value, int))
# This server applies these itself: llama.cpp does not get them.
_NOT_SAMPLING = ("num_predict", "num_ctx", "num_keep")
_INT32 = 2**31
_FLOAT32 = 3.4e38


def read_options(values: dict[str, Any] | None) -> dict[str, Any]:
    """The known options, each in its type. Leaves out, with a log line, options for hardware and unknown ones.

    Raises ApiError 500, as Ollama does, when a known option has a wrong type.
    """
    known: dict[str, Any] = {}
    for name, value in sorted((values or {}).items()):
        if value is None:
            continue
        if name in FLOATS or name in INTS:
            known[name] = _read_number(name, value)
        elif name == "stop":
            known[name] = _read_stop(value)
        else:
            log.info("option %r is not used here", name)
    return known


def settle_parameters(values: dict[str, Any]) -> dict[str, Any]:
    """A tag's parameters as they are stored: `1` and `1.0` give the same digest. Types are checked when used."""
    return {name: _settle(name, value) for name, value in sorted(values.items()) if value is not None}


def _settle(name: str, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if name in FLOATS:
        return float(value)
    return int(value) if math.isfinite(value) and value == int(value) else value


def build_sampling(options: dict[str, Any]) -> dict[str, Any]:
    """llama.cpp's sampling fields. `options`: those of the request over the defaults."""
    sampling = {name: value for name, value in options.items() if name not in _NOT_SAMPLING}
    # Ollama ignores an empty stop text.
    sampling["stop"] = [text for text in options["stop"] if text]
    return sampling


def _read_number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ApiError(500, f'option "{name}" must be of type {"float32" if name in FLOATS else "integer"}')
    if name in FLOATS:
        return max(-_FLOAT32, min(float(value), _FLOAT32))
    return int(max(-_INT32, min(value, _INT32 - 1)))


def _read_stop(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ApiError(500, 'option "stop" must be of type array')
    if not all(isinstance(text, str) for text in value):
        raise ApiError(500, 'option "stop" must be of an array of strings')
    return value


INVALID_SCHEMA = "invalid JSON schema in format"
# The values of these keys are data, not schemas.
_DATA = ("enum", "const", "default", "examples")
# Look-ahead, look-behind and references to an earlier group.
_BEYOND_GRAMMARS = re.compile(r"\(\?(?:[=!]|<[=!])|\\[1-9bB]")
# Without this a small model may fill its whole answer with spaces between two fields.
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
    """Raises ApiError 500, as Ollama does, for a `pattern` that no grammar can express.

    llama.cpp would silently drop the whole schema, and the answer could be anything.
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
    """The grammar for a schema that Engine.check_schema has accepted."""
    return str(xllamacpp.json_schema_to_grammar({**close_objects(schema), "x-guidance": _COMPACT}))


def close_objects(schema: Any) -> Any:
    """Objects with named properties take no others unless the schema allows it. Ollama reads schemas that way."""
    if isinstance(schema, list):
        return [close_objects(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: value if key in _DATA else close_objects(value) for key, value in schema.items()}
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        closed.setdefault("additionalProperties", False)
    return closed
