"""Reads the chat replies that Ollama sends: the text without the model's thoughts, and counts that are in range."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

# More tokens than any context holds: a larger count is the server's error.
COUNT_MAX = 10_000_000
# In characters. No kind of digest is longer.
DIGEST_MAX = 80
_SCALARS = {"integer", "number", "boolean", "null"}
_TAG = r"(?:think(?:ing)?|thought|reasoning)"
_THOUGHT = re.compile(rf"<{_TAG}\b[^<>]*>.*?(?:</{_TAG}\s*>|\Z)", re.DOTALL | re.IGNORECASE)
# Some templates open the thought themselves, so the text starts inside a thought.
_OPEN_THOUGHT = re.compile(rf"\A.*</{_TAG}\s*>", re.DOTALL | re.IGNORECASE)


class NotAReply(ValueError):
    """The server did not send a complete answer of an Ollama."""


@dataclass(frozen=True, slots=True)
class ChatReply:
    """One answer. Tokens are counts; `latency_ms` is wall time on our side and includes waiting in the server's queue.

    `cached_tokens`: prompt tokens that were cached, 0 when the server does not report them. `digest`: the manifest
    that served, "" when unknown. `server`: the address that answered. `cut`: the answer ended because it reached its
    token limit.
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
    """The answer in a chat's document. `ends_at_brace`: the closing brace was a stop word, so it is added again.

    Raises NotAReply when the document has no complete answer.
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
    """Whether the model only thought and gave no answer. Raises NotAReply as read_reply does."""
    message = _read_message(document)
    said = message.get("content") or ""
    return not strip_thoughts(said).strip() and bool(message.get("thinking") or said.strip())


def _read_message(document: Any) -> dict[str, Any]:
    message = document.get("message") if isinstance(document, dict) else None
    if isinstance(document, dict) and document.get("error"):
        raise NotAReply(str(document["error"]))
    if not isinstance(message, dict) or not isinstance(message.get("content") or "", str):
        raise NotAReply("its answer is incomplete or not an answer")
    if document.get("done") is False or document.get("done_reason") in ("load", "unload"):
        raise NotAReply("its answer broke off")
    return message


def strip_thoughts(text: str) -> str:
    """The text without the parts between `<think>` and `</think>` or similar tags.

    From a tag that is never closed, the rest of the text is dropped.
    """
    return _OPEN_THOUGHT.sub("", _THOUGHT.sub("", text))


def clamp_count(value: Any) -> int:
    """A token count from a server, limited to its range; 0 when it is not a count."""
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
