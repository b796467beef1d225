"""Weights in memory: loaded by the first request that needs them, freed when no tag is in use."""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xllamacpp  # type: ignore[import-untyped]  # it ships no types

from .wire import TOO_LONG, ApiError

log = logging.getLogger(__name__)

_LIBC = ctypes.CDLL(None)
# Of glibc's malloc.h.
_M_ARENA_MAX = -8


def keep_one_heap() -> None:
    """Before llama.cpp starts its threads: one heap for all, since each heap keeps some of what was freed in it."""
    # Only glibc has this function, and malloc_trim.
    if hasattr(_LIBC, "mallopt"):
        _LIBC.mallopt(_M_ARENA_MAX, 1)


class LoadedWeights(ABC):
    """One gguf file in llama.cpp. Safe to call from several threads.

    `num_ctx`: most tokens of a request.
    """

    num_ctx: int

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._users = 0
        self._server: xllamacpp.Server | None = None

    @contextmanager
    def use(self) -> Iterator[int]:
        """Keeps the weights loaded; gives the nanoseconds it took to load them (almost 0 when they are)."""
        started = time.perf_counter_ns()
        with self._lock:
            if self._server is None:
                self._server = self._load()
                log.info("loaded %s in %.2f s", self._path.name, (time.perf_counter_ns() - started) / 1e9)
            self._users += 1
        try:
            yield time.perf_counter_ns() - started
        finally:
            with self._lock:
                self._users -= 1

    def unload(self) -> bool:
        """Frees the weights and caches, unless a request uses them; True when they are free."""
        with self._lock:
            if self._users:
                return False
            self._free()
            # glibc would keep the memory of unloaded weights.
            if hasattr(_LIBC, "malloc_trim"):
                _LIBC.malloc_trim(0)
            return True

    @property
    def is_loaded(self) -> bool:
        """Whether the weights are in memory."""
        return self._server is not None

    @abstractmethod
    def embed(
        self,
        texts: list[str],
        *,
        num_ctx: int,
        truncate: bool,
        is_gone: Callable[[], bool],
        is_background: bool = False,
    ) -> tuple[list[list[float]], int]:
        """Unit vectors (the mean over a text's tokens) and the number of tokens read.

        `is_background`: others may come first. Raises ApiError 400 for a text longer than the context, unless it may
        be truncated; ClientGone once `is_gone` is true.
        """

    @abstractmethod
    def _load(self) -> xllamacpp.Server: ...

    def _free(self) -> None:
        self._server = None

    def _loaded(self) -> xllamacpp.Server:
        if self._server is None:
            raise RuntimeError("The weights are used outside of use().")
        return self._server


def make_params(path: Path) -> xllamacpp.CommonParams:
    """What all servers inside this process have in common."""
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
    params.no_extra_bufts = True
    params.ui = False
    params.verbosity = 0
    return params


def make_embedding(params: xllamacpp.CommonParams) -> None:
    """Turns it into a server of vectors. A text is one batch: its tokens are read together."""
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.n_batch = params.n_ubatch = params.n_ctx


def ask_vectors(server: xllamacpp.Server, inputs: list[Any]) -> tuple[list[list[float]], int]:
    """Unit vectors for texts or lists of tokens, in their order, and the number of tokens. Raises ApiError."""
    answer = call(server.handle_embeddings, {"input": inputs})
    if "error" in answer:
        raise translate(answer["error"])
    rows = sorted(answer["data"], key=lambda row: row["index"])
    return [row["embedding"] for row in rows], answer["usage"]["prompt_tokens"]


def call(method: Callable[..., Any], *args: Any) -> Any:
    """Calls llama.cpp. Raises ApiError 400 with its words when it refuses."""
    try:
        return method(*args)
    except (RuntimeError, ValueError) as error:
        raise ApiError(400, f"llama.cpp refused the request: {error}") from error


def translate(error: Any) -> ApiError:
    """llama.cpp's error as Ollama's."""
    details = error if isinstance(error, dict) else {"message": str(error)}
    if details.get("type") == "exceed_context_size_error":
        return ApiError(400, TOO_LONG)
    status = 400 if details.get("code") == 400 else 500
    return ApiError(status, str(details.get("message", error)))
