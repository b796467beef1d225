"""From messages to the tokens that the model reads, as Ollama does it.

A tag with a Go template is rendered with that. The carried model, and tags made from it without another template,
are rendered with the chat template inside the gguf file.
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
    """A parsed template. Raises ApiError 400, as Ollama does, when the text is not a template."""
    try:
        return parse_template(text)
    except TemplateError as error:
        raise ApiError(400, f"template error: {error}") from error


def render_messages(messages: list[Message], *, template: str, engine: Engine) -> str:
    """The prompt for messages. Raises ApiError when the template cannot be rendered."""
    messages = _mark_images(messages)
    if template == engine.own_template:
        return engine.render(messages)
    parsed = read_template(template)
    try:
        return _execute(parsed, _join_turns(messages))
    except (TypeError, KeyError, IndexError, AttributeError, ValueError) as error:
        raise ApiError(500, f"template: {error}") from error


def fit_messages(messages: list[Message], *, template: str, engine: Engine, num_ctx: int, truncate: bool) -> list[int]:
    """The prompt's tokens, at most `num_ctx`. Leaves out the oldest messages first, then the middle of the rest.

    System messages and the last message stay. Raises ApiError 400 when the prompt is too long and may not be cut.
    """
    while True:
        tokens = engine.tokenize(render_messages(messages, template=template, engine=engine))
        old = [at for at, message in enumerate(messages[:-1]) if message["role"] != "system"]
        if len(tokens) <= num_ctx or not old or not truncate:
            return cut_tokens(tokens, num_ctx=num_ctx, keep=0, truncate=truncate)
        messages = messages[: old[0]] + messages[old[0] + 1 :]


def cut_tokens(tokens: list[int], *, num_ctx: int, keep: int, truncate: bool) -> list[int]:
    """At most `num_ctx` tokens: the first `keep` (at least 4) and the last. Raises ApiError 400 if it may not cut."""
    if len(tokens) <= num_ctx:
        return tokens
    if not truncate:
        raise ApiError(400, TOO_LONG)
    keep = min(max(keep, 4), num_ctx - 1)
    return tokens[:keep] + tokens[len(tokens) - (num_ctx - keep) :]


def _mark_images(messages: list[Message]) -> list[Message]:
    """This model cannot see images: it gets a mark for each, as from a real Ollama."""
    marked, count = [], 0
    for message in messages:
        images = message.get("images") or []
        marks = "".join(f"[img-{count + at}]" for at in range(len(images)))
        count += len(images)
        marked.append({"role": message["role"], "content": marks + message["content"]})
    return marked


def _join_turns(messages: list[Message]) -> list[Message]:
    """Joins consecutive messages of the same role."""
    turns: list[Message] = []
    for message in messages:
        if turns and turns[-1]["role"] == message["role"]:
            turns[-1] = {**message, "content": f"{turns[-1]['content']}\n\n{message['content']}"}
        else:
            turns.append(message)
    return turns


def _execute(template: Template, turns: list[Message]) -> str:
    """Renders a template that names `.Messages` once; an older one once for each question and its answer."""
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
        # A round ends after its answer, or before the next system message.
        if now["Response"] if field == "Prompt" else field == "System" and (now["Prompt"] or now["Response"]):
            done += template.render(now)
            now = {"System": "", "Prompt": "", "Response": ""}
        now[field] = turn["content"]
    return done + template.render(now, cut=True)
