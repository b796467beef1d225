"""Chat, generate and embed: from a request to a generation and back to Ollama's answer.

A tag's own template is stored and shown, but rendering uses the chat template inside the gguf file: Ollama's
templates are Go templates, and the carried model has one prompt format only.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .admission import Admission
from .api import Exchange
from .engine import Completion, Engine
from .registry import Registry, Tag
from .residency import Residency
from .sampling import DEFAULTS, build_sampling, read_options
from .schema import read_format
from .wire import TOO_LONG, ApiError, format_time, now, parse_keep_alive, require_messages, require_text

_UNSUPPORTED = ("suffix", "images", "logprobs")


@dataclass(frozen=True, slots=True)
class Settings:
    """A request's options over its tag's parameters over Ollama's defaults."""

    options: dict[str, Any]
    num_ctx: int
    schema: dict[str, Any] | None
    keep_alive: float | None

    @property
    def room(self) -> int:
        """Tokens of the context that messages must leave for the answer, at most a quarter of it."""
        wanted: int = self.options["num_predict"]
        return min(max(wanted, 1), max(1, self.num_ctx // 4))

    def limit_tokens(self, prompt_tokens: int) -> int:
        """How many tokens may follow the prompt. Raises ApiError 400 when the prompt fills the context."""
        left: int = self.num_ctx - prompt_tokens
        if left < 1:
            raise ApiError(400, TOO_LONG)
        wanted = int(self.options["num_predict"])
        return left if wanted < 1 else min(wanted, left)


class InferenceApi:
    """The addresses that need the weights."""

    def __init__(self, *, registry: Registry, residency: Residency, engine: Engine, admission: Admission) -> None:
        self._registry = registry
        self._residency = residency
        self._engine = engine
        self._admission = admission

    def chat(self, exchange: Exchange) -> None:
        """`POST /api/chat`. The tag's system stands first unless the request begins with one of its own."""
        body = exchange.body
        tag, settings = self._read(body)
        if body.get("tools"):
            raise ApiError(400, f"registry.ollama.ai/library/{tag.name} does not support tools")
        asked = require_messages(body.get("messages"))
        if not asked:
            self._load_only(exchange, tag, settings, {"message": {"role": "assistant", "content": ""}})
            return
        messages = [*tag.manifest.messages, *asked]
        if tag.manifest.system and asked[0]["role"] != "system":
            messages.insert(0, {"role": "system", "content": tag.manifest.system})
        with self._admitted(exchange, tag, settings) as (started, load_ns):
            prompt, count = self._fit(messages, settings)
            done = self._complete(exchange, tag, settings, prompt, count, wrap=_wrap_message)
            self._finish(exchange, tag, done, started, load_ns, _wrap_message(_last(exchange, done)))

    def generate(self, exchange: Exchange) -> None:
        """`POST /api/generate`. `raw` sends the prompt as it is; `context` comes from an earlier answer."""
        body = exchange.body
        tag, settings = self._read(body)
        text, system = require_text(body, "prompt"), require_text(body, "system")
        context, raw = body.get("context"), bool(body.get("raw"))
        if raw and (body.get("template") or system or context):
            raise ApiError(400, "raw mode does not support template, system, or context")
        if not text:
            self._load_only(exchange, tag, settings, {"response": ""})
            return
        with self._admitted(exchange, tag, settings) as (started, load_ns):
            prompt = text if raw else self._build_prompt(tag, system=system, context=context, text=text)
            count = len(self._engine.tokenize(prompt))
            done = self._complete(exchange, tag, settings, prompt, count, wrap=_wrap_response)
            answer = _wrap_response(_last(exchange, done))
            if not raw:
                answer["context"] = self._engine.tokenize(prompt + done.text)
            self._finish(exchange, tag, done, started, load_ns, answer)

    def embed(self, exchange: Exchange) -> None:
        """`POST /api/embed`: unit vectors, shortened to `dimensions` when asked."""
        body = exchange.body
        tag, settings = self._read(body)
        texts = body.get("input", [])
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ApiError(400, "invalid input type")
        dimensions = read_options({"num_keep": body.get("dimensions")}).get("num_keep", 0)
        with self._admitted(exchange, tag, settings) as (started, load_ns):
            vectors, count = self._embed(texts, truncate=body.get("truncate", True))
            exchange.answer(
                {
                    "model": tag.name,
                    "embeddings": [_shorten(vector, dimensions) for vector in vectors],
                    "total_duration": time.perf_counter_ns() - started,
                    "load_duration": load_ns,
                    "prompt_eval_count": count,
                }
            )

    def embeddings(self, exchange: Exchange) -> None:
        """`POST /api/embeddings`: the older form, one text."""
        tag, settings = self._read(exchange.body)
        text = require_text(exchange.body, "prompt")
        with self._admitted(exchange, tag, settings):
            vectors, _ = self._embed([text] if text else [], truncate=True)
            exchange.answer({"embedding": vectors[0] if vectors else []})

    def _read(self, body: dict[str, Any]) -> tuple[Tag, Settings]:
        name = require_text(body, "model")
        if not name:
            raise ApiError(400, "model is required")
        tag = self._registry.get(name)
        for field in _UNSUPPORTED:
            if body.get(field):
                raise ApiError(400, f'"{tag.name}" does not support {field}')
        if body.get("think"):
            raise ApiError(400, f'"{tag.name}" does not support thinking')
        options = {**DEFAULTS, **tag.manifest.parameters, **read_options(body.get("options"))}
        num_ctx = min(max(options["num_ctx"], 4), self._engine.num_ctx)
        schema, keep_alive = read_format(body.get("format")), parse_keep_alive(body.get("keep_alive"))
        return tag, Settings(options, num_ctx, schema, keep_alive)

    @contextmanager
    def _admitted(self, exchange: Exchange, tag: Tag, settings: Settings) -> Iterator[tuple[int, int]]:
        """A turn with the weights loaded: when it was asked for and how long loading took, in nanoseconds."""
        started = time.perf_counter_ns()
        with self._admission.admit(is_gone=exchange.is_gone):
            self._keep(tag, settings, seconds=None)
            try:
                with self._engine.use() as load_ns:
                    yield started, load_ns
            finally:
                self._keep(tag, settings, seconds=settings.keep_alive)

    def _keep(self, tag: Tag, settings: Settings, *, seconds: float | None) -> None:
        self._residency.keep(name=tag.name, digest=tag.digest, num_ctx=settings.num_ctx, seconds=seconds, now=now())

    def _load_only(self, exchange: Exchange, tag: Tag, settings: Settings, part: dict[str, Any]) -> None:
        """A request without a prompt loads the tag, or unloads it when told to keep it for no time."""
        if settings.keep_alive == 0:
            self._residency.drop(tag.name)
            reason = "unload"
        else:
            with self._admitted(exchange, tag, settings):
                reason = "load"
        exchange.answer(_head(tag) | part | {"done": True, "done_reason": reason})

    def _fit(self, messages: list[dict[str, str]], settings: Settings) -> tuple[str, int]:
        """The prompt and its tokens; the oldest messages are dropped until it fits, as Ollama does.

        System messages and the last message always stay; if even they are too long, limit_tokens refuses.
        """
        while True:
            prompt = self._engine.render(messages)
            count = len(self._engine.tokenize(prompt))
            old = [at for at, message in enumerate(messages[:-1]) if message["role"] != "system"]
            if count + settings.room <= settings.num_ctx or not old:
                return prompt, count
            messages = messages[: old[0]] + messages[old[0] + 1 :]

    def _build_prompt(self, tag: Tag, *, system: str, context: Any, text: str) -> str:
        messages = [{"role": "user", "content": text}]
        if not context:
            messages = tag.manifest.messages + messages
        if system or tag.manifest.system:
            messages.insert(0, {"role": "system", "content": system or tag.manifest.system})
        prompt = self._engine.render(messages)
        if not context:
            return prompt
        if not isinstance(context, list) or not all(isinstance(token, int) for token in context):
            raise ApiError(400, "field context must be a list of integers")
        return self._engine.detokenize(context) + prompt

    def _complete(
        self, exchange: Exchange, tag: Tag, settings: Settings, prompt: str, count: int, *, wrap: Any
    ) -> Completion:
        if settings.schema is not None:
            self._engine.check_schema(settings.schema)
        return self._engine.complete(
            prompt=prompt,
            sampling=build_sampling(settings.options),
            max_tokens=settings.limit_tokens(count),
            schema=settings.schema,
            on_text=lambda piece: exchange.emit(_head(tag) | wrap(piece) | {"done": False}),
            is_gone=exchange.is_gone,
        )

    def _embed(self, texts: list[str], *, truncate: Any) -> tuple[list[list[float]], int]:
        return self._engine.embed(texts, truncate=truncate is not False) if texts else ([], 0)

    def _finish(
        self, exchange: Exchange, tag: Tag, done: Completion, started: int, load_ns: int, part: dict[str, Any]
    ) -> None:
        """The last line. Two fields more than Ollama's: cached prompt tokens and the digest that served."""
        exchange.answer(
            _head(tag)
            | part
            | {
                "done": True,
                "done_reason": done.reason,
                "total_duration": time.perf_counter_ns() - started,
                "load_duration": load_ns,
                "prompt_eval_count": done.prompt_tokens,
                "prompt_eval_duration": done.prompt_ns,
                "prompt_cached_count": done.cached_tokens,
                "eval_count": done.tokens,
                "eval_duration": done.eval_ns,
                "digest": tag.digest,
            }
        )


def _head(tag: Tag) -> dict[str, Any]:
    return {"model": tag.name, "created_at": format_time(now())}


def _wrap_message(text: str) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": text}}


def _wrap_response(text: str) -> dict[str, Any]:
    return {"response": text}


def _last(exchange: Exchange, done: Completion) -> str:
    """The text of the last line: nothing in a stream, whose pieces have gone out already."""
    return "" if exchange.is_streamed else done.text


def _shorten(vector: list[float], dimensions: int) -> list[float]:
    """The first `dimensions` numbers (0: all), made a unit vector again."""
    if not 0 < dimensions < len(vector):
        return vector
    length = math.sqrt(sum(number * number for number in vector[:dimensions])) or 1.0
    return [number / length for number in vector[:dimensions]]
