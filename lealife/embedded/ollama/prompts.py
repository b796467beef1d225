"""From messages to the tokens that the model reads, as Ollama puts them together.

A tag made with a Go template is rendered with it. The carried model's own tag, and what is made from it without
another template, is rendered with the chat template inside the gguf file.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from .engine import Engine
from .go_template import Template, TemplateError, parse_template
from .wire import TOO_LONG, ApiError

Message = dict[str, Any]


@lru_cache(maxsize=64)
def read_template(text: str) -> Template:
    """A parsed template. Raises ApiError 400 in Ollama's words when it is none."""
    try:
        return parse_template(text)
    except TemplateError as error:
        raise ApiError(400, f"template error: {error}") from error


def render_messages(messages: list[Message], *, template: str, engine: Engine) -> str:
    """The prompt for messages. Raises ApiError when the template cannot be followed."""
    messages = _mark_images(messages)
    if template == engine.own_template:
        return engine.render(messages)
    parsed = read_template(template)
    try:
        return _execute(parsed, _join_turns(messages))
    except (TypeError, KeyError, IndexError, AttributeError, ValueError) as error:
        raise ApiError(500, f"template: {error}") from error


def fit_messages(messages: list[Message], *, template: str, engine: Engine, num_ctx: int, truncate: bool) -> list[int]:
    """The prompt's tokens, at most `num_ctx`: the oldest messages are left out first, then the middle of what is left.

    System messages and the last message stay. Raises ApiError 400 instead when it must not be truncated.
    """
    while True:
        tokens = engine.tokenize(render_messages(messages, template=template, engine=engine))
        old = [at for at, message in enumerate(messages[:-1]) if message["role"] != "system"]
        if len(tokens) <= num_ctx or not old or not truncate:
            return cut_tokens(tokens, num_ctx=num_ctx, keep=0, truncate=truncate)
        messages = messages[: old[0]] + messages[old[0] + 1 :]


def cut_tokens(tokens: list[int], *, num_ctx: int, keep: int, truncate: bool) -> list[int]:
    """At most `num_ctx` tokens: the first `keep` (at least 4) and the last. Raises ApiError 400 if not to be cut."""
    if len(tokens) <= num_ctx:
        return tokens
    if not truncate:
        raise ApiError(400, TOO_LONG)
    keep = min(max(keep, 4), num_ctx - 1)
    return tokens[:keep] + tokens[len(tokens) - (num_ctx - keep) :]


def _mark_images(messages: list[Message]) -> list[Message]:
    """A model without eyes gets a mark for each image, as a real Ollama gives it."""
    marked, count = [], 0
    for message in messages:
        images = message.get("images") or []
        marks = "".join(f"[img-{count + at}]" for at in range(len(images)))
        count += len(images)
        marked.append({"role": message["role"], "content": marks + message["content"]})
    return marked


def _join_turns(messages: list[Message]) -> list[Message]:
    """Messages of one role in a row are one turn."""
    turns: list[Message] = []
    for message in messages:
        if turns and turns[-1]["role"] == message["role"]:
            turns[-1] = {**message, "content": f"{turns[-1]['content']}\n\n{message['content']}"}
        else:
            turns.append(message)
    return turns


def _execute(template: Template, turns: list[Message]) -> str:
    """A template that knows `.Messages` gets them all at once; an older one is run for each round of the talk."""
    if "Messages" in template.names:
        system = "\n\n".join(turn["content"] for turn in turns if turn["role"] == "system")
        listed = [{"Role": turn["role"], "Content": turn["content"]} for turn in turns]
        return template.render({"System": system, "Messages": listed, "Tools": [], "Prompt": "", "Response": ""})
    done = ""
    now = {"System": "", "Prompt": "", "Response": ""}
    for turn in turns:
        field = {"system": "System", "user": "Prompt", "assistant": "Response"}.get(turn["role"])
        if field is None:
            continue
        # A round ends with its answer, and a new system message begins another.
        if now["Response"] if field == "Prompt" else field == "System" and (now["Prompt"] or now["Response"]):
            done += template.render(now)
            now = {"System": "", "Prompt": "", "Response": ""}
        now[field] = turn["content"]
    return done + template.render(now, cut=True)
