"""Chat, generate and embed: from a request to a generation and back to Ollama's answer."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from .engine import ANSWER_ROOM, Completion, Engine
from .exchange import Exchange
from .loading import LoadedWeights
from .occupancy import Admission, Residency
from .options import DEFAULTS, build_sampling, read_format, read_options
from .prompts import Message, cut_tokens, fit_messages, render_messages
from .registry import Registry, Tag, check_name, spell_fully
from .wire import ApiError, format_time, now, parse_keep_alive


@dataclass(frozen=True, slots=True)
class Settings:
    """A request's options over its tag's parameters over Ollama's defaults.

    `logprobs`: how many log probabilities are wanted for each token, its own included; 0 for none.
    """

    options: dict[str, Any]
    num_ctx: int
    schema: dict[str, Any] | None
    keep_alive: float | None
    truncate: bool
    logprobs: int

    def limit_tokens(self, prompt_tokens: int) -> int:
        """How many tokens may follow the prompt. A prompt that fills the context still gets an answer."""
        left = max(self.num_ctx - prompt_tokens, ANSWER_ROOM)
        wanted = int(self.options["num_predict"])
        return left if wanted < 1 else min(wanted, left)


@dataclass(frozen=True, slots=True)
class Runner:
    """A loadable model, and the queue of requests for it."""

    model: LoadedWeights
    admission: Admission


class InferenceApi:
    """The addresses that need the weights."""

    def __init__(self, *, registry: Registry, residency: Residency, runners: Mapping[str, Runner]) -> None:
        """`runners`: by the digest of their weights."""
        self._registry = registry
        self._residency = residency
        self._runners = runners

    def chat(self, exchange: Exchange) -> None:
        """`POST /api/chat`. The tag's system message comes first, unless the request begins with one."""
        body = exchange.body
        tag, settings = self._read(body, invalid=ApiError(400, "model is required"))
        self._refuse_embedder(tag, body, "chat")
        if body.get("tools"):
            raise ApiError(400, f"{spell_fully(tag.name)} does not support tools")
        asked = body.get("messages") or []
        if not asked:
            self._load_only(exchange, tag, settings, {"message": {"role": "assistant", "content": ""}})
            return
        messages = [*tag.manifest.messages, *asked]
        if tag.manifest.system and asked[0]["role"] != "system":
            messages.insert(0, {"role": "system", "content": tag.manifest.system})
        with self._admitted(exchange, tag, settings) as (started, load_ns):
            prompt = fit_messages(
                messages,
                template=tag.manifest.template,
                engine=self._find_engine(tag),
                num_ctx=settings.num_ctx,
                truncate=settings.truncate,
            )
            done = self._complete(exchange, tag, settings, prompt, wrap=_wrap_message)
            self._finish(exchange, tag, done, started, load_ns, _wrap_message(_last(exchange, done)))

    def generate(self, exchange: Exchange) -> None:
        """`POST /api/generate`. `raw` sends the prompt as it is; `context` comes from an earlier answer."""
        body = exchange.body
        name = body.get("model", "")
        tag, settings = self._read(body, invalid=ApiError(404, f"model '{name}' not found"))
        self._refuse_embedder(tag, body, "generate")
        raw = bool(body.get("raw"))
        if body.get("suffix"):
            raise ApiError(400, f"{spell_fully(tag.name)} does not support insert")
        if raw and (body.get("template") or body.get("system") or body.get("context")):
            raise ApiError(400, "raw mode does not support template, system, or context")
        if not body.get("prompt"):
            self._load_only(exchange, tag, settings, {"response": ""})
            return
        with self._admitted(exchange, tag, settings) as (started, load_ns):
            text = body["prompt"] if raw else self._build_prompt(tag, body)
            prompt = cut_tokens(
                self._find_engine(tag).tokenize(text),
                num_ctx=settings.num_ctx,
                keep=settings.options["num_keep"],
                truncate=settings.truncate,
            )
            done = self._complete(exchange, tag, settings, prompt, wrap=_wrap_response)
            answer = _wrap_response(_last(exchange, done))
            if not raw:
                answer["context"] = self._find_engine(tag).tokenize(text + done.text)
            self._finish(exchange, tag, done, started, load_ns, answer)

    def embed(self, exchange: Exchange) -> None:
        """`POST /api/embed`: unit vectors, shortened to `dimensions` when the request asks for it."""
        body = exchange.body
        tag, settings = self._read_embedding(body)
        texts = body.get("input", [])
        if isinstance(texts, str):
            texts = [texts] if texts else []
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ApiError(400, "invalid input type")
        if not texts:
            exchange.answer({"model": tag.name, "embeddings": []})
            return
        with self._admitted(exchange, tag, settings) as (started, load_ns):
            vectors, count = self._embed(exchange, tag, settings, texts)
            exchange.answer(
                {
                    "model": tag.name,
                    "embeddings": [_shorten(vector, body.get("dimensions", 0)) for vector in vectors],
                    "total_duration": time.perf_counter_ns() - started,
                    "load_duration": load_ns,
                    "prompt_eval_count": count,
                }
            )

    def embeddings(self, exchange: Exchange) -> None:
        """`POST /api/embeddings`: the older form, one text."""
        tag, settings = self._read_embedding(exchange.body)
        text = exchange.body.get("prompt", "")
        with self._admitted(exchange, tag, settings):
            vectors = self._embed(exchange, tag, settings, [text])[0] if text else [[]]
            exchange.answer({"embedding": vectors[0]})

    def _read(self, body: dict[str, Any], *, invalid: ApiError) -> tuple[Tag, Settings]:
        """The tag and settings of a request. Raises `invalid` for a bad name, ApiError for other mistakes."""
        name = body.get("model", "")
        check_name(name, invalid=invalid)
        tag = self._registry.get(name)
        if body.get("think"):
            raise ApiError(400, f'"{tag.name}" does not support thinking')
        wanted = int(body.get("top_logprobs", 0))
        if not 0 <= wanted <= 20:
            raise ApiError(400, "top_logprobs must be between 0 and 20")
        options = {**DEFAULTS, **read_options(tag.manifest.parameters), **read_options(body.get("options"))}
        return tag, Settings(
            options=options,
            num_ctx=min(max(options["num_ctx"], 4), self._find_runner(tag).model.num_ctx),
            schema=read_format(body.get("format")),
            keep_alive=parse_keep_alive(body.get("keep_alive")),
            truncate=body.get("truncate", True),
            logprobs=max(wanted, 1) if body.get("logprobs") else 0,
        )

    def _find_runner(self, tag: Tag) -> Runner:
        return self._runners[tag.manifest.weights]

    def _find_engine(self, tag: Tag) -> Engine:
        """The chat model of a tag that can chat: see _refuse_embedder."""
        return cast(Engine, self._find_runner(tag).model)

    def _refuse_embedder(self, tag: Tag, body: dict[str, Any], what: str) -> None:
        if "completion" not in self._registry.get_weights(tag.manifest.weights).capabilities:
            raise ApiError(400, f'"{body["model"]}" does not support {what}')

    def _embed(
        self, exchange: Exchange, tag: Tag, settings: Settings, texts: list[str]
    ) -> tuple[list[list[float]], int]:
        runner = self._find_runner(tag)
        return runner.model.embed(
            texts,
            num_ctx=settings.num_ctx,
            truncate=settings.truncate,
            is_gone=partial(runner.admission.give_way, urgency=exchange.urgency, is_gone=exchange.is_gone),
            is_background=exchange.is_background,
        )

    def _read_embedding(self, body: dict[str, Any]) -> tuple[Tag, Settings]:
        name = body.get("model", "")
        if name and self._registry.find(name) is None:
            raise ApiError(404, f'model "{name}" not found, try pulling it first')
        return self._read(body, invalid=ApiError(400, "model is required"))

    @contextmanager
    def _admitted(self, exchange: Exchange, tag: Tag, settings: Settings) -> Iterator[tuple[int, int]]:
        """Waits for a turn and loads the weights; gives when it was asked for and how long loading took, in ns."""
        started = time.perf_counter_ns()
        runner = self._find_runner(tag)
        with runner.admission.admit(urgency=exchange.urgency, is_gone=exchange.is_gone):
            self._residency.keep(tag, num_ctx=settings.num_ctx, seconds=None, now=now())
            try:
                with runner.model.use() as load_ns:
                    yield started, load_ns
            finally:
                self._residency.keep(tag, num_ctx=settings.num_ctx, seconds=settings.keep_alive, now=now())

    def _load_only(self, exchange: Exchange, tag: Tag, settings: Settings, part: dict[str, Any]) -> None:
        """A request without a prompt loads the tag; one with `keep_alive` 0 unloads it."""
        if settings.keep_alive == 0:
            self._residency.drop(tag.name)
            reason = "unload"
        else:
            with self._admitted(exchange, tag, settings):
                reason = "load"
        exchange.answer_at_once(_head(tag) | part | {"done": True, "done_reason": reason})

    def _build_prompt(self, tag: Tag, body: dict[str, Any]) -> str:
        context, system = body.get("context"), body.get("system") or tag.manifest.system
        messages: list[Message] = [] if context else list(tag.manifest.messages)
        messages.append({"role": "user", "content": body["prompt"], "images": body.get("images")})
        if system:
            messages.insert(0, {"role": "system", "content": system})
        template = body.get("template") or tag.manifest.template
        engine = self._find_engine(tag)
        prompt = render_messages(messages, template=template, engine=engine)
        return engine.detokenize(context) + prompt if context else prompt

    def _complete(
        self, exchange: Exchange, tag: Tag, settings: Settings, prompt: list[int], *, wrap: Any
    ) -> Completion:
        engine = self._find_engine(tag)
        if settings.schema is not None:
            engine.check_schema(settings.schema)
        sampling = build_sampling(settings.options)
        if settings.logprobs:
            sampling["logprobs"] = settings.logprobs

        def emit(piece: str, chances: list[dict[str, Any]]) -> None:
            exchange.emit(_head(tag) | wrap(piece) | {"done": False} | _list_logprobs(chances))

        return engine.complete(
            prompt=prompt,
            sampling=sampling,
            max_tokens=settings.limit_tokens(len(prompt)),
            schema=settings.schema,
            on_text=emit,
            is_gone=exchange.is_gone,
        )

    def _finish(
        self, exchange: Exchange, tag: Tag, done: Completion, started: int, load_ns: int, part: dict[str, Any]
    ) -> None:
        """The last line. It has two fields more than Ollama's: cached prompt tokens, and the digest of the tag."""
        counted = {
            "total_duration": time.perf_counter_ns() - started,
            "load_duration": load_ns,
            "prompt_eval_count": done.prompt_tokens,
            "prompt_eval_duration": done.prompt_ns,
            "prompt_cached_count": done.cached_tokens,
            "eval_count": done.tokens,
            "eval_duration": done.eval_ns,
        }
        exchange.answer(
            _head(tag)
            | part
            | {"done": True, "done_reason": done.reason}
            | ({} if exchange.is_streamed else _list_logprobs(done.logprobs))
            # Ollama leaves out what is zero.
            | {name: value for name, value in counted.items() if value}
            | {"digest": tag.digest}
        )


def _list_logprobs(chances: list[dict[str, Any]]) -> dict[str, Any]:
    """Log probabilities as Ollama gives them; empty when the request asked for none."""
    listed = [
        _read_chance(chance) | ({"top_logprobs": top} if len(top) > 1 else {})
        for chance in chances
        for top in [[_read_chance(other) for other in chance.get("top_logprobs", ())]]
    ]
    return {"logprobs": listed} if listed else {}


def _read_chance(chance: dict[str, Any]) -> dict[str, Any]:
    return {name: chance[name] for name in ("token", "logprob", "bytes") if name in chance}


def _head(tag: Tag) -> dict[str, Any]:
    return {"model": tag.name, "created_at": format_time(now())}


def _wrap_message(text: str) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": text}}


def _wrap_response(text: str) -> dict[str, Any]:
    return {"response": text}


def _last(exchange: Exchange, done: Completion) -> str:
    """The text of the last line. Empty in a stream, because all pieces have been sent."""
    return "" if exchange.is_streamed else done.text


def _shorten(vector: list[float], dimensions: int) -> list[float]:
    """The first `dimensions` numbers (0: all), scaled to a unit vector."""
    if not 0 < dimensions < len(vector):
        return vector
    length = math.sqrt(sum(number * number for number in vector[:dimensions])) or 1.0
    return [number / length for number in vector[:dimensions]]
