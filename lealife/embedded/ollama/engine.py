"""Inference: llama.cpp through xllamacpp, one set of weights, prompt-prefix caches kept across calls.

Prompts are rendered with the chat template inside the gguf file. llama.cpp's server opens a loopback port of
its own for that and for counting tokens; a random key, known to this process alone, guards it.

What a token comes to does not depend on what was computed beside it, before it or in which slot, so that
temperature 0 gives the same log probabilities cold, warm, and with others in its batch. Three settings do it,
each measured (docs/decisions/0024-an-engine-that-repeats-itself.md):
each slot has a cache of its own (in a shared one, sums run in the order in which cells became free);
the cache is q8_0, for which flash attention has one path whatever the size of the batch (f16 has three);
weights are not repacked.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import secrets
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Read by the OpenMP runtime when llama.cpp's library is loaded, so it stands before that import. Threads that
# wait must not spin: on a busy machine spinning made a prompt up to three times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import xllamacpp  # type: ignore[import-untyped]  it ships no types

from .schema import INVALID_SCHEMA, build_grammar, check_patterns
from .wire import TOO_LONG, ApiError, ClientGone

log = logging.getLogger(__name__)

# A text to embed is one batch, whose attention grows with the square of its length.
EMBED_CTX = 512
# Prefixes that lost their slot are kept in memory up to this size; about 22,000 tokens of a 135M model.
PREFIX_CACHE_MIB = 256
# A prompt that was cut to the context's size still gets an answer.
ANSWER_ROOM = 512
BATCH_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Completion:
    """What one generation gave. Tokens are counts, `_ns` are nanoseconds."""

    text: str
    reason: str
    prompt_tokens: int
    cached_tokens: int
    tokens: int
    prompt_ns: int
    eval_ns: int
    logprobs: list[dict[str, Any]]


class Engine:
    """Loads on first use, unloads when told and idle. Safe to call from several threads."""

    def __init__(self, *, path: Path, num_ctx: int, slots: int, own_template: str = "") -> None:
        """`num_ctx`: tokens a prompt may hold. `slots`: prefixes kept hot. `own_template`: the gguf file's (Jinja)."""
        self.num_ctx = num_ctx
        self.own_template = own_template
        self._path = path
        self._slots = slots
        self._secret = secrets.token_hex(16)
        self._lock = threading.Lock()
        self._users = 0
        self._server: xllamacpp.Server | None = None
        self._embedder: xllamacpp.Server | None = None

    @contextmanager
    def use(self) -> Iterator[int]:
        """Hold the weights loaded; gives the nanoseconds it took to load them (next to none when loaded)."""
        started = time.perf_counter_ns()
        with self._lock:
            if self._server is None:
                self._server = self._start(n_ctx=(self.num_ctx + ANSWER_ROOM) * self._slots, n_parallel=self._slots)
                log.info("loaded %s in %.2f s", self._path.name, (time.perf_counter_ns() - started) / 1e9)
            self._users += 1
        try:
            yield time.perf_counter_ns() - started
        finally:
            with self._lock:
                self._users -= 1

    def unload(self) -> bool:
        """Free the weights and caches unless somebody uses them; says whether they are free now."""
        with self._lock:
            if self._users:
                return False
            self._server = self._embedder = None
            return True

    @property
    def is_loaded(self) -> bool:
        """Whether the weights are in memory."""
        return self._server is not None

    def render(self, messages: list[dict[str, str]]) -> str:
        """The prompt for chat messages, by the gguf file's template. Raises ApiError when that refuses them."""
        return str(self._ask("/apply-template", {"messages": messages})["prompt"])

    def check_schema(self, schema: dict[str, Any]) -> None:
        """Raises ApiError 500, as Ollama does, for a JSON schema that llama.cpp cannot follow."""
        check_patterns(schema)
        wanted = {"type": "json_schema", "json_schema": {"schema": schema}}
        try:
            messages = [{"role": "user", "content": ""}]
            self._ask("/apply-template", {"messages": messages, "response_format": wanted})
        except ApiError as error:
            raise ApiError(500, INVALID_SCHEMA) from error

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a prompt, special tokens read as such."""
        body = {"content": text, "add_special": True, "parse_special": True}
        return list(self._ask("/tokenize", body)["tokens"])

    def detokenize(self, tokens: list[int]) -> str:
        """The text of token ids."""
        return str(self._ask("/detokenize", {"tokens": tokens})["content"])

    def complete(
        self,
        *,
        prompt: list[int],
        sampling: dict[str, Any],
        max_tokens: int,
        schema: dict[str, Any] | None,
        on_text: Callable[[str, list[dict[str, Any]]], None],
        is_gone: Callable[[], bool],
    ) -> Completion:
        """Generate at most `max_tokens` after the tokens of `prompt`, each piece to `on_text` as it comes.

        With each piece come its tokens' log probabilities, when `sampling` asks for them. `schema`: a JSON schema,
        checked before, that the text must satisfy. Raises ApiError for what llama.cpp refuses and ClientGone when
        `is_gone` became true; the slot is free again at once.
        """
        body: dict[str, Any] = {
            "prompt": prompt,
            "n_predict": max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
            "cache_prompt": True,
            **sampling,
        }
        if schema is not None:
            body["grammar"] = build_grammar(schema)
        pieces: list[str] = []
        logprobs: list[dict[str, Any]] = []
        last: dict[str, Any] = {}
        reason = ""

        def take(chunk: dict[str, Any]) -> bool:
            """llama.cpp calls this for each chunk and stops when it says True; exceptions would be lost."""
            nonlocal reason
            if "timings" in chunk or "error" in chunk:
                last.update(chunk)
            for choice in chunk.get("choices", ()):
                reason = choice.get("finish_reason") or reason
                chances = (choice.get("logprobs") or {}).get("content") or []
                logprobs.extend(chances)
                if choice.get("text") or chances:
                    pieces.append(choice.get("text", ""))
                    on_text(pieces[-1], chances)
            return is_gone()

        _call(self._loaded().handle_completions, body, take)
        if "error" in last:
            raise _translate(last["error"])
        if "timings" not in last:
            raise ClientGone
        timings = last["timings"]
        return Completion(
            text="".join(pieces),
            reason=reason,
            prompt_tokens=timings["cache_n"] + timings["prompt_n"],
            cached_tokens=timings["cache_n"],
            tokens=timings["predicted_n"],
            prompt_ns=round(timings["prompt_ms"] * 1e6),
            # The first token belongs to the prompt: it alone takes no time.
            eval_ns=round(timings["predicted_ms"] * 1e6) if timings["predicted_n"] > 1 else 0,
            logprobs=logprobs,
        )

    def embed(self, texts: list[str], *, truncate: bool) -> tuple[list[list[float]], int]:
        """Unit vectors (mean over the tokens) and the tokens read.

        Raises ApiError 400 for a text past the context unless it may be truncated.
        """
        # llama.cpp refuses a text that fills the batch to the brim, and adds tokens of its own.
        room = EMBED_CTX - 8
        fitted = []
        for text in texts:
            tokens = self.tokenize(text)
            if len(tokens) > room and not truncate:
                raise ApiError(400, TOO_LONG)
            fitted.append(text if len(tokens) <= room else self.detokenize(tokens[:room]))
        with self._lock:
            if self._embedder is None:
                self._embedder = self._start(n_ctx=EMBED_CTX, n_parallel=1, embedding=True)
            embedder = self._embedder
        answer = _call(embedder.handle_embeddings, {"input": fitted})
        if "error" in answer:
            raise _translate(answer["error"])
        rows = sorted(answer["data"], key=lambda row: row["index"])
        return [row["embedding"] for row in rows], answer["usage"]["prompt_tokens"]

    def _start(self, *, n_ctx: int, n_parallel: int, embedding: bool = False) -> xllamacpp.Server:
        params = xllamacpp.CommonParams()
        params.model.path = str(self._path)
        params.n_ctx = n_ctx
        params.n_parallel = n_parallel
        params.kv_unified = False
        params.cache_prompt = True
        params.cache_ram_mib = PREFIX_CACHE_MIB
        params.n_batch = BATCH_TOKENS
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_Q8_0
        params.no_extra_bufts = True
        params.ui = False
        params.verbosity = 0
        params.api_keys = [self._secret]
        # One core is left to everybody else while a token is made: with two threads on two cores, one other
        # busy process halved the speed; with one it hardly matters. Prompts gain from every core.
        cores = os.cpu_count() or 1
        params.cpuparams.n_threads = max(1, cores - 1)
        params.cpuparams_batch.n_threads = cores
        if embedding:
            params.embedding = True
            params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
            params.n_batch = params.n_ubatch = n_ctx
        return xllamacpp.Server(params)

    def _loaded(self) -> xllamacpp.Server:
        if self._server is None:
            raise RuntimeError("The engine is used outside of use().")
        return self._server

    def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One of llama.cpp's own addresses on loopback."""
        address = urllib.parse.urlsplit(self._loaded().listening_address)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
        headers = {"Authorization": f"Bearer {self._secret}", "Content-Type": "application/json"}
        try:
            connection.request("POST", path, body=json.dumps(body), headers=headers)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise _translate(answer.get("error", answer))
        return answer


def _call(method: Callable[..., Any], *args: Any) -> Any:
    try:
        return method(*args)
    except (RuntimeError, ValueError) as error:
        raise ApiError(400, f"llama.cpp refused the request: {error}") from error


def _translate(error: Any) -> ApiError:
    details = error if isinstance(error, dict) else {"message": str(error)}
    if details.get("type") == "exceed_context_size_error":
        return ApiError(400, TOO_LONG)
    status = 400 if details.get("code") == 400 else 500
    return ApiError(status, str(details.get("message", error)))
