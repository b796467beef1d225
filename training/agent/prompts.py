"""Prompts: how much of a question the models see, and a second try for JSON answers that need more tokens."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from training.agent.brain import Brain
from training.agent.model import Model, Reply
from training.agent.reading.text import squeeze

# Tokens of the context that a question may use; the middle of longer ones is cut.
QUESTION_TOKENS = 600
# The question itself is usually at the end, after its context.
HEAD_SHARE = 1 / 3
# ASCII English has about this many characters per token; other scripts have about one.
CHARACTERS_A_TOKEN = 3.5
GAP = " … "
# A JSON answer gets room for its properties, and within a list for many of them.
JSON_TOKENS, PROPERTY_TOKENS, JSON_TOKENS_MAX = 80, 60, 1024
# Factor for the second try of an answer that was cut off.
SECOND_ROOM = 2


def fit_question(prompt: str) -> str:
    """The question in one line: complete if it fits its tokens, or else its beginning and its end."""
    line = squeeze(prompt)
    if _count_tokens(line) <= QUESTION_TOKENS:
        return line
    head = _take(line, round(QUESTION_TOKENS * HEAD_SHARE)).rstrip()
    tail = _take(line[::-1], round(QUESTION_TOKENS * (1 - HEAD_SHARE)))[::-1].lstrip()
    return f"{head}{GAP}{tail}"


def _weigh(character: str) -> float:
    return 1 / CHARACTERS_A_TOKEN if character.isascii() else 1.0


def _count_tokens(text: str) -> float:
    return sum(map(_weigh, text))


def _take(text: str, tokens: int) -> str:
    spent = 0.0
    for index, character in enumerate(text):
        spent += _weigh(character)
        if spent > tokens:
            return text[:index]
    return text


def room_for(schema: dict[str, Any]) -> int:
    """Tokens for the first try of an answer with this schema."""
    properties, is_open = _measure(schema)
    return JSON_TOKENS_MAX if is_open else min(JSON_TOKENS + PROPERTY_TOKENS * properties, JSON_TOKENS_MAX)


def _measure(schema: Any) -> tuple[int, bool]:
    """How many properties a schema names, and whether its lists may have any length."""
    if isinstance(schema, list):
        parts = schema
    elif isinstance(schema, dict):
        parts = list(schema.values())
    else:
        return 0, False
    measured = [_measure(part) for part in parts]
    named = schema.get("properties") if isinstance(schema, dict) else None
    own = len(named) if isinstance(named, dict) else 0
    is_list = isinstance(schema, dict) and (schema.get("type") == "array" or "items" in schema)
    return own + sum(count for count, _ in measured), is_list or any(is_open for _, is_open in measured)


def ask(*, model: Model, tag: str, brain: Brain, content: str, schema: dict[str, Any] | None, max_tokens: int) -> Reply:
    """One reply to one message. Raises as the model does."""
    messages = [{"role": "user", "content": content}]
    return model.chat(
        tag=tag, messages=messages, schema=schema, max_tokens=max_tokens, num_ctx=brain.num_ctx, seed=brain.seed
    )


def ask_json(*, model: Model, tag: str, brain: Brain, content: str, schema: dict[str, Any], max_tokens: int) -> Reply:
    """One structured reply; asked again with twice the tokens when the first was cut off.

    `cut`: the second was cut off too. The token counts are sums of both. Raises as the model does.
    """
    first = ask(model=model, tag=tag, brain=brain, content=content, schema=schema, max_tokens=max_tokens)
    if not _is_half(first, max_tokens=max_tokens):
        return replace(first, cut=False)
    room = max_tokens * SECOND_ROOM
    second = ask(model=model, tag=tag, brain=brain, content=content, schema=schema, max_tokens=room)
    return replace(
        second,
        cut=_is_half(second, max_tokens=room),
        prompt_tokens=first.prompt_tokens + second.prompt_tokens,
        cached_tokens=first.cached_tokens + second.cached_tokens,
        completion_tokens=first.completion_tokens + second.completion_tokens,
        latency_ms=first.latency_ms + second.latency_ms,
    )


def was_cut(reply: Reply, *, max_tokens: int) -> bool:
    """Whether the reply ended because it reached the token limit."""
    return reply.cut or reply.completion_tokens >= max_tokens


def _is_half(reply: Reply, *, max_tokens: int) -> bool:
    # Padded with white space, an answer is whole before its tokens are spent.
    return was_cut(reply, max_tokens=max_tokens) and not _is_json(reply.text)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
