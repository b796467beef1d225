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
_PASSED_ON = (
    "temperature", "top_k", "top_p", "min_p", "typical_p", "repeat_last_n", "repeat_penalty",
    "presence_penalty", "frequency_penalty", "seed",
)  # fmt: skip


def read_options(values: Any) -> dict[str, Any]:
    """Known options with their types settled, so that `1` and `1.0` make one recipe.

    Options that steer hardware (`num_gpu`, …) or are unknown are dropped with a log line, as Ollama does.
    Raises ApiError 400 when a known option has a wrong type.
    """
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ApiError(400, "options must be an object")
    known: dict[str, Any] = {}
    for name, value in sorted(values.items()):
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


def build_sampling(options: dict[str, Any]) -> dict[str, Any]:
    """llama.cpp's sampling fields for options that already carry their defaults."""
    sampling = {name: options[name] for name in _PASSED_ON}
    # Ollama stops at the text, never at an empty one.
    sampling["stop"] = [text for text in options["stop"] if text]
    return sampling


def _read_float(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ApiError(400, f'option "{name}" must be of type float32')
    return float(value)


def _read_int(name: str, value: Any) -> int:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or not -_INT32 <= value < _INT32:
        raise ApiError(400, f'option "{name}" must be of type integer')
    return int(value)


def _read_stop(value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ApiError(400, 'option "stop" must be of type array of strings')
    return texts
