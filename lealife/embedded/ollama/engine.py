"""Inference: llama.cpp through xllamacpp, one set of weights, prompt-prefix caches kept across calls.

Prompts are rendered with the chat template inside the gguf file. llama.cpp's server opens its own loopback port
for that and for counting tokens. A random key that only this process knows protects it.

At temperature 0 the same prompt gives the same log probabilities: with a cold cache, with a warm one, in any slot and
with other prompts in its batch. Three settings are needed, each measured
(docs/decisions/0024-an-engine-that-repeats-itself.md):
- Each slot has its own cache. In a shared one, sums run in the order in which cells became free.
- The cache is q8_0. For it flash attention has one code path for all sizes of a batch; for f16 it has three.
- Weights are not repacked.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xllamacpp  # type: ignore[import-untyped]  # it ships no types

from .loading import LoadedWeights, ask_vectors, call, make_embedding, make_params, translate
from .options import INVALID_SCHEMA, build_grammar, check_patterns
from .wire import TOO_LONG, ApiError, ClientGone

# A text to embed is one batch, and the cost of attention grows with the square of its length.
EMBED_CTX = 512
# Prompts that lost their slot are kept in memory up to this size: about 22,000 tokens of a 135M model.
PREFIX_CACHE_MIB = 256
# In tokens. A prompt that was cut to the size of the context still gets an answer.
ANSWER_ROOM = 512
BATCH_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Completion:
    """The result of one generation. `_ns`: nanoseconds."""

    text: str
    reason: str
    prompt_tokens: int
    cached_tokens: int
    tokens: int
    prompt_ns: int
    eval_ns: int
    logprobs: list[dict[str, Any]]


class Engine(LoadedWeights):
    """The chat model. Loads the weights on first use. Safe to call from several threads."""

    def __init__(self, *, path: Path, num_ctx: int, slots: int, own_template: str = "") -> None:
        """`num_ctx`: most tokens of a prompt. `slots`: prompts kept ready. `own_template`: the gguf file's (Jinja)."""
        super().__init__(path)
        self.num_ctx = num_ctx
        self.own_template = own_template
        self._slots = slots
        self._secret = secrets.token_hex(16)
        self._embedder: xllamacpp.Server | None = None

    def render(self, messages: list[dict[str, str]]) -> str:
        """The prompt for chat messages, by the gguf file's template. Raises ApiError when that refuses them."""
        return str(self._ask("/apply-template", {"messages": messages})["prompt"])

    def check_schema(self, schema: dict[str, Any]) -> None:
        """Raises ApiError 500, as Ollama does, for a JSON schema that llama.cpp cannot turn into a grammar."""
        check_patterns(schema)
        wanted = {"type": "json_schema", "json_schema": {"schema": schema}}
        try:
            messages = [{"role": "user", "content": ""}]
            self._ask("/apply-template", {"messages": messages, "response_format": wanted})
        except ApiError as error:
            raise ApiError(500, INVALID_SCHEMA) from error

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a prompt. Text that spells a special token becomes that token."""
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
        """Generates at most `max_tokens` after the tokens of `prompt`. Calls `on_text` with each piece as it comes.

        `on_text` also gets the log probabilities of the piece's tokens, when `sampling` asks for them. `schema`: a
        JSON schema that the text must satisfy, checked before. Raises ApiError for what llama.cpp refuses, and
        ClientGone once `is_gone` is true; the slot is then free at once.
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
            """llama.cpp calls this for each chunk and stops when it returns True. It swallows exceptions."""
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

        call(self._loaded().handle_completions, body, take)
        if "error" in last:
            raise translate(last["error"])
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
            # The time of the first token counts as time of the prompt.
            eval_ns=round(timings["predicted_ms"] * 1e6) if timings["predicted_n"] > 1 else 0,
            logprobs=logprobs,
        )

    def embed(
        self,
        texts: list[str],
        *,
        num_ctx: int,
        truncate: bool,
        is_gone: Callable[[], bool],
        is_background: bool = False,
    ) -> tuple[list[list[float]], int]:
        """See LoadedWeights. Of a text, at most EMBED_CTX tokens are read, whatever `num_ctx` is; all come in turn."""
        # llama.cpp adds tokens of its own, and refuses a text that fills the whole batch.
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
        return ask_vectors(embedder, fitted)

    def _load(self) -> xllamacpp.Server:
        return self._start(n_ctx=(self.num_ctx + ANSWER_ROOM) * self._slots, n_parallel=self._slots)

    def _free(self) -> None:
        super()._free()
        self._embedder = None

    def _start(self, *, n_ctx: int, n_parallel: int, embedding: bool = False) -> xllamacpp.Server:
        params = make_params(self._path)
        params.n_ctx = n_ctx
        params.n_parallel = n_parallel
        params.kv_unified = False
        params.cache_prompt = True
        params.cache_ram_mib = PREFIX_CACHE_MIB
        params.n_batch = BATCH_TOKENS
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_Q8_0
        params.api_keys = [self._secret]
        # Generation leaves one core free: with two threads on two cores another busy process halved its speed, with
        # one thread it hardly mattered. Reading a prompt gains from every core.
        cores = os.cpu_count() or 1
        params.cpuparams.n_threads = max(1, cores - 1)
        params.cpuparams_batch.n_threads = cores
        if embedding:
            make_embedding(params)
        return xllamacpp.Server(params)

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
            raise translate(answer.get("error", answer))
        return answer
