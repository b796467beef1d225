"""Replies of a chat as Ollama sends them: what was said without what was thought, and counts within their range."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

# More tokens than any context holds: a count beyond it is an error of the server's.
COUNT_MAX = 10_000_000
# Characters: no digest of any kind is longer.
DIGEST_MAX = 80
_SCALARS = {"integer", "number", "boolean", "null"}
_TAG = r"(?:think(?:ing)?|thought|reasoning)"
_THOUGHT = re.compile(rf"<{_TAG}\b[^<>]*>.*?(?:</{_TAG}\s*>|\Z)", re.DOTALL | re.IGNORECASE)
# Some templates open the thought themselves: then the text begins inside of one.
_OPEN_THOUGHT = re.compile(rf"\A.*</{_TAG}\s*>", re.DOTALL | re.IGNORECASE)


class NotAReply(ValueError):
    """What came is no whole answer of an Ollama."""


@dataclass(frozen=True, slots=True)
class ChatReply:
    """One answer. Tokens are counts; `latency_ms` is wall time at this end, waiting for a turn included.

    `cached_tokens`: prompt tokens that were cached, 0 when the server does not say. `digest`: the manifest
    that served, "" when it could not be learned. `server`: the address that answered. `cut`: the answer ended
    because its tokens were spent.
    """

    text: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    latency_ms: float = 0.0
    server: str = ""
    digest: str = ""
    cut: bool = False


def read_reply(document: Any, *, ends_at_brace: bool) -> ChatReply:
    """The answer in a chat's document. `ends_at_brace`: the closing brace was a stop word, and is put back.

    Raises NotAReply when there is no whole answer in it.
    """
    text = strip_thoughts(_read_message(document).get("content") or "").strip()
    cut = document.get("done_reason") == "length"
    if ends_at_brace and text and not cut and not text.endswith("}"):
        text += "}"
    return ChatReply(
        text=text,
        prompt_tokens=clamp_count(document.get("prompt_eval_count")),
        cached_tokens=clamp_count(document.get("prompt_cached_count")),
        completion_tokens=clamp_count(document.get("eval_count")),
        digest=str(document.get("digest") or "")[:DIGEST_MAX],
        cut=cut,
    )


def only_thought(document: Any) -> bool:
    """Whether the model thought and said nothing. Raises NotAReply as read_reply does."""
    message = _read_message(document)
    said = message.get("content") or ""
    return not strip_thoughts(said).strip() and bool(message.get("thinking") or said.strip())


def _read_message(document: Any) -> dict[str, Any]:
    message = document.get("message") if isinstance(document, dict) else None
    if isinstance(document, dict) and document.get("error"):
        raise NotAReply(str(document["error"]))
    if not isinstance(message, dict) or not isinstance(message.get("content") or "", str):
        raise NotAReply("its answer broke off or is none")
    if document.get("done") is False or document.get("done_reason") in ("load", "unload"):
        raise NotAReply("its answer broke off")
    return message


def strip_thoughts(text: str) -> str:
    """The text without what stands between `<think>` and `</think>` or tags like them.

    A thought that is never closed ends the text.
    """
    return _OPEN_THOUGHT.sub("", _THOUGHT.sub("", text))


def clamp_count(value: Any) -> int:
    """A count of tokens as a server sent it: within its range, 0 when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return 0
    return int(max(0, min(value, COUNT_MAX)))


def can_end_at_brace(schema: dict[str, Any] | None) -> bool:
    """Whether the first closing brace ends every answer of this schema: a flat object without free text."""
    if not schema or schema.get("type") != "object" or not schema.get("properties"):
        return False
    return all(isinstance(value, dict) and _holds_no_brace(value) for value in schema["properties"].values())


def _holds_no_brace(schema: dict[str, Any]) -> bool:
    if "enum" in schema:
        return "}" not in json.dumps(schema["enum"])
    return isinstance(schema.get("type"), str) and schema["type"] in _SCALARS
