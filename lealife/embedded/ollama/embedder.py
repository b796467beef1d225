"""The embedding model in llama.cpp: vectors, one text after the other.

It loads its own weights and has its own queue, so that no chat waits for a text to embed. What a request marks as
background work has a runner of its own. On Linux its threads run at the lowest priority: chats and questions get the
cores.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import xllamacpp  # type: ignore[import-untyped]  # it ships no types

from .loading import LoadedWeights, ask_vectors, make_embedding, make_params
from .weights import Weights
from .wire import TOO_LONG, ApiError, ClientGone
from .wordpiece import WordPiece

# llama.cpp gets this many texts at a time. Texts of another request come in between.
AT_ONCE = 4
# In characters. What follows would be cut off anyway: 512 tokens hold some 2,500 characters.
TEXT_MAX = 1 << 15
LOWEST_PRIORITY = 19
# Only on Linux can threads of one process have priorities of their own. Elsewhere they take less.
HAS_PRIORITIES = sys.platform == "linux"
THREADS = min(2, os.cpu_count() or 1) if HAS_PRIORITIES else 1


class Embedder(LoadedWeights):
    """A BERT model. Safe to call from several threads."""

    def __init__(self, weights: Weights, *, threads: int) -> None:
        super().__init__(weights.path)
        self.num_ctx = int(weights.metadata["bert.context_length"])
        self._weights = weights
        self._threads = threads
        self._words: WordPiece | None = None
        self._behind: xllamacpp.Server | None = None

    def embed(
        self,
        texts: list[str],
        *,
        num_ctx: int,
        truncate: bool,
        is_gone: Callable[[], bool],
        is_background: bool = False,
    ) -> tuple[list[list[float]], int]:
        """See LoadedWeights."""
        server, words = self._loaded_behind() if is_background else self._loaded(), self._words
        if words is None:
            raise RuntimeError("The weights are used outside of use().")
        inputs = [words.tokenize(text[:TEXT_MAX]) for text in texts]
        if not truncate and any(len(tokens) > num_ctx for tokens in inputs):
            raise ApiError(400, TOO_LONG)
        vectors, count = [], 0
        for at in range(0, len(inputs), AT_ONCE):
            if is_gone():
                raise ClientGone
            part = [words.cut(tokens, size=num_ctx) for tokens in inputs[at : at + AT_ONCE]]
            rows, read = ask_vectors(server, part)
            vectors += rows
            count += read
        return vectors, count

    def _load(self) -> xllamacpp.Server:
        self._words = WordPiece(self._weights.metadata["tokenizer.ggml.tokens"])
        return xllamacpp.Server(self._make_params())

    def _loaded_behind(self) -> xllamacpp.Server:
        with self._lock:
            if self._behind is None:
                # llama.cpp's threads get the priority of the thread that starts them.
                with ThreadPoolExecutor(1, initializer=_give_way) as starter:
                    self._behind = starter.submit(xllamacpp.Server, self._make_params()).result()
            return self._behind

    def _make_params(self) -> xllamacpp.CommonParams:
        params = make_params(self._path)
        params.n_ctx = self.num_ctx
        params.n_parallel = 1
        params.cache_ram_mib = 0
        params.warmup = False
        params.api_keys = [secrets.token_hex(16)]
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._threads
        make_embedding(params)
        return params

    def _free(self) -> None:
        super()._free()
        self._words = self._behind = None


def _give_way() -> None:
    if HAS_PRIORITIES:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
