"""Options of a request or a tag: Ollama's names, types and defaults, in llama.cpp's terms."""

from __future__ import annotations

import logging
import math
from typing import Any

from .wire import ApiError

log = logging.getLogger(__name__)

FLOATS = (
    "temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty", "frequency_penalty",
)  # fmt: skip
INTS = ("seed", "num_predict", "num_ctx", "top_k", "repeat_last_n", "num_keep")
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
    "stop": [],
}
_INT32 = 2**31
_FLOAT32 = 3.4e38
_PASSED_ON = (
    "temperature", "top_k", "top_p", "min_p", "typical_p", "repeat_last_n", "repeat_penalty",
    "presence_penalty", "frequency_penalty", "seed",
)  # fmt: skip


def read_options(values: dict[str, Any] | None) -> dict[str, Any]:
    """Known options with their types settled. Those that steer hardware or are unknown are left out with a log line.

    Raises ApiError 500, as Ollama does, when a known option has a wrong type.
    """
    known: dict[str, Any] = {}
    for name, value in sorted((values or {}).items()):
        if value is None:
            continue
        if name in FLOATS:
            known[name] = _read_float(name, value)
        elif name in INTS:
            known[name] = _read_int(name, value)
        elif name == "stop":
            known[name] = _read_stop(value)
        else:
            log.info("option %r is not used here", name)
    return known


def settle_parameters(values: dict[str, Any]) -> dict[str, Any]:
    """A tag's parameters as they are stored: `1` and `1.0` make one recipe. Types are looked at when they are used."""
    return {name: _settle(name, value) for name, value in sorted(values.items()) if value is not None}


def _settle(name: str, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if name in FLOATS:
        return float(value)
    return int(value) if math.isfinite(value) and value == int(value) else value


def build_sampling(options: dict[str, Any]) -> dict[str, Any]:
    """llama.cpp's sampling fields for options that already carry their defaults."""
    sampling = {name: options[name] for name in _PASSED_ON}
    # Ollama stops at the text, never at an empty one.
    sampling["stop"] = [text for text in options["stop"] if text]
    return sampling


def _read_float(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ApiError(500, f'option "{name}" must be of type float32')
    return max(-_FLOAT32, min(float(value), _FLOAT32))


def _read_int(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ApiError(500, f'option "{name}" must be of type integer')
    return int(max(-_INT32, min(value, _INT32 - 1)))


def _read_stop(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ApiError(500, 'option "stop" must be of type array')
    if not all(isinstance(text, str) for text in value):
        raise ApiError(500, 'option "stop" must be of an array of strings')
    return value
