"""What goes over the wire: requests, read as Go reads them, and Ollama's errors, times and durations."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

DEFAULT_KEEP_ALIVE_S = 300.0
# Ollama writes "for ever" as the largest duration Go can hold: about 292 years.
FOREVER = timedelta(days=292 * 365)

BUSY = "server busy, please try again.  maximum pending requests exceeded"
TOO_LONG = "the input length exceeds the context length"
NOT_PULLABLE = "pull model manifest: file does not exist"

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class ApiError(Exception):
    """A refusal: the HTTP status and the sentence that Ollama would send."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class ClientGone(Exception):
    """The client hung up, so there is no one to answer."""


def format_time(moment: datetime) -> str:
    """An aware time as RFC 3339 in UTC with microseconds, as Go's clients expect."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def now() -> datetime:
    """The current time, aware, UTC."""
    return datetime.now(UTC)


def parse_keep_alive(value: Any) -> float | None:
    """Seconds to stay loaded; None: for ever. Numbers are seconds, strings are Go durations (`5m`, `1h30m`).

    Raises ApiError 400, in Go's words, for anything else.
    """
    if value is None:
        return DEFAULT_KEEP_ALIVE_S
    if isinstance(value, str):
        seconds = _parse_go_duration(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        kind = {bool: "bool", list: "[]interface {}"}.get(type(value), "map[string]interface {}")
        raise ApiError(400, f"Unsupported type: '{kind}'")
    return None if seconds < 0 or seconds > FOREVER.total_seconds() else seconds


def _parse_go_duration(text: str) -> float:
    sign, digits = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    if digits == "0":
        return 0.0
    parts = _DURATION_PART.findall(digits)
    if parts and "".join(amount + unit for amount, unit in parts) == digits:
        return sign * sum(float(amount) * _SECONDS[unit] for amount, unit in parts)
    what = "missing unit in" if re.fullmatch(r"[0-9.]*[0-9][0-9.]*", digits) else "invalid"
    raise ApiError(400, f'time: {what} duration "{text}"')


_STRING, _BOOL, _INT, _ANY = "string", "bool", "int", ""
_OPTIONS = "map[string]interface {}"
_TEXTS = "map[string]string"
_MESSAGES = "[]api.Message"
_MODEL = {"model": _STRING, "name": _STRING}
_ASKED = {"stream": _BOOL, "options": _OPTIONS, "truncate": _BOOL, "logprobs": _BOOL, "top_logprobs": _INT}

# By address: the structure in Ollama's source that a body is read into, and its fields.
# Other fields are ignored, as Ollama does.
REQUESTS: dict[str, tuple[str, dict[str, str]]] = {
    "/api/show": ("ShowRequest", {**_MODEL, "verbose": _BOOL, "system": _STRING, "options": _OPTIONS}),
    "/api/create": ("CreateRequest", {
        **_MODEL, "stream": _BOOL, "from": _STRING, "system": _STRING, "template": _STRING, "quantize": _STRING,
        "license": _ANY, "parameters": "map[string]interface {}", "messages": _MESSAGES, "files": _TEXTS,
        "adapters": _TEXTS,
    }),
    "/api/copy": ("CopyRequest", {"source": _STRING, "destination": _STRING}),
    "/api/delete": ("DeleteRequest", _MODEL),
    "/api/pull": ("PullRequest", {**_MODEL, "stream": _BOOL, "insecure": _BOOL}),
    "/api/push": ("PushRequest", {**_MODEL, "stream": _BOOL, "insecure": _BOOL}),
    "/api/chat": ("ChatRequest", {
        **_ASKED, "model": _STRING, "messages": _MESSAGES, "format": _ANY, "keep_alive": _ANY, "think": _ANY,
        "tools": "api.Tools",
    }),
    "/api/generate": ("GenerateRequest", {
        **_ASKED, "model": _STRING, "prompt": _STRING, "suffix": _STRING, "system": _STRING, "template": _STRING,
        "context": "[]int", "raw": _BOOL, "format": _ANY, "keep_alive": _ANY, "think": _ANY,
        "images": "[]api.ImageData",
    }),
    "/api/embed": ("EmbedRequest", {
        "model": _STRING, "input": _ANY, "truncate": _BOOL, "dimensions": _INT, "options": _OPTIONS,
        "keep_alive": _ANY,
    }),
    "/api/embeddings": (
        "EmbeddingRequest", {"model": _STRING, "prompt": _STRING, "options": _OPTIONS, "keep_alive": _ANY},
    ),
}  # fmt: skip
_MESSAGE = {"role": _STRING, "content": _STRING, "thinking": _STRING, "images": "[]api.ImageData"}
_LISTS = {"[]int": "int", "[]api.ImageData": "string"}
# Go's names for the types of JSON.
_SEEN = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
_EXPECTED = {
    "Expecting property name": "looking for beginning of object key string",
    "Expecting value": "looking for beginning of value",
    "Illegal trailing comma": "looking for beginning of value",
    "Expecting ':'": "after object key",
    "Expecting ','": "after object key:value pair",
    "Invalid control": "in string literal",
    "Invalid \\escape": "in string escape code",
    "Invalid \\uXXXX": "in \\u hexadecimal character escape",
}


def read_body(content: bytes, *, path: str) -> dict[str, Any]:
    """The fields of a request to the address `path`. Raises ApiError 400, in Go's words, for anything else.

    Null counts as absent. Text after the first JSON value is ignored.
    """
    if not content.strip():
        raise ApiError(400, "missing request body")
    kind, fields = REQUESTS[path]
    value = _parse(content)
    if not isinstance(value, dict):
        raise ApiError(400, f"json: cannot unmarshal {_SEEN[type(value)]} into Go value of type api.{kind}")
    return _read_fields(value, fields, owner=kind, path="")


def _parse(content: bytes) -> Any:
    text = content.decode("utf-8", "replace").lstrip()
    try:
        return json.JSONDecoder(parse_constant=_refuse_constant).raw_decode(text)[0] or {}
    except json.JSONDecodeError as error:
        raise ApiError(400, _explain(error, text)) from error
    except RecursionError as error:
        raise ApiError(400, "invalid character '[' exceeded max depth") from error


def _refuse_constant(name: str) -> Any:
    raise ApiError(400, f"invalid character '{name[0]}' looking for beginning of value")


def _explain(error: json.JSONDecodeError, text: str) -> str:
    rest = text[error.pos :].lstrip()
    if not rest or error.msg.startswith("Unterminated string"):
        return "unexpected EOF"
    where = next((said for begins, said in _EXPECTED.items() if error.msg.startswith(begins)), "in JSON")
    return f"invalid character {rest[0]!r} {where}"


def _read_fields(value: dict[str, Any], fields: dict[str, str], *, owner: str, path: str) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for given, item in value.items():
        name = given if given in fields else given.lower()
        if name in fields and item is not None:
            read[name] = _read_value(item, fields[name], owner=owner, path=path + name)
    return read


def _read_value(item: Any, wanted: str, *, owner: str, path: str) -> Any:
    seen = _SEEN[type(item)]
    if wanted == _MESSAGES and isinstance(item, list):
        return [_read_message(entry, owner=owner, path=path) for entry in item if entry is not None]
    if wanted in _LISTS and isinstance(item, list):
        return [_read_value(entry, _LISTS[wanted], owner=owner, path=path) for entry in item]
    if wanted == _TEXTS and isinstance(item, dict):
        return {key: _read_value(entry, _STRING, owner=owner, path=path) for key, entry in item.items()}
    fits = {
        _ANY: True,
        _STRING: seen == "string",
        _BOOL: seen == "bool",
        _INT: isinstance(item, int) and seen == "number",
        _OPTIONS: seen == "object",
        "api.Tools": seen == "array",
    }
    if not fits.get(wanted, False):
        what = f"number {item}" if wanted == _INT and seen == "number" else seen
        raise ApiError(400, f"json: cannot unmarshal {what} into Go struct field {owner}.{path} of type {wanted}")
    return item


def _read_message(entry: Any, *, owner: str, path: str) -> dict[str, Any]:
    if not isinstance(entry, dict):
        seen = _SEEN[type(entry)]
        raise ApiError(400, f"json: cannot unmarshal {seen} into Go struct field {owner}.{path} of type api.Message")
    return {"role": "", "content": "", **_read_fields(entry, _MESSAGE, owner=owner, path=f"{path}.")}
