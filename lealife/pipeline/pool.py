"""The model servers that this installation uses, and the agent's access to them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.utils import timezone

from lealife.core.gateway import ModelInvalid, ModelUnavailable, OllamaPool, parse_hosts
from lealife.core.urgency import Urgency
from lealife.embedded.ollama_process import read_address
from training.agent.errors import AgentError, ErrorCode
from training.agent.model import Reply
from training.model_faults import note_fault

log = logging.getLogger(__name__)
MIXED, MISSING = "mixed", "missing"
# Texts of one call: on a busy machine one call of them stays far below its time limit.
EMBED_AT_ONCE = 32


def get_pool() -> OllamaPool:
    """The pool that `OLLAMA_HOST` names, or the embedded server.

    Raises ModelUnavailable when there is neither, or the variable is unusable.
    """
    named = settings.OLLAMA_HOST or read_address()
    if not named:
        raise ModelUnavailable("No model server: set OLLAMA_HOST, or start the embedded one with scripts/up.")
    try:
        return _open_pool(named)
    except ValueError as error:
        raise ModelUnavailable(str(error)) from None


@lru_cache(maxsize=4)
def _open_pool(named: str) -> OllamaPool:
    # One pool per address and process: it remembers which servers are down and keeps connections open.
    return OllamaPool(
        hosts=parse_hosts(named),
        deadline_s=settings.LEALIFE_MODEL_DEADLINE_S,
        keep_alive=_read_keep_alive(settings.LEALIFE_MODEL_KEEP_ALIVE),
        num_thread=settings.LEALIFE_MODEL_THREADS or None,
        on_failure=_note_failure,
    )


def _note_failure(host: str) -> None:
    # Another server may still answer the call: a database error must not stop it.
    try:
        note_fault(host=host, now=timezone.now())
    except DatabaseError as error:
        log.warning("could not note that %s failed: %s", host, error)


def _read_keep_alive(text: str) -> str | float | None:
    # Ollama accepts seconds without a unit only as a number, not as text.
    with suppress(ValueError):
        return float(text)
    return text or None


def read_served_digest(tag: str) -> str:
    """The digest that `tag` has on the servers now; "mixed" when they disagree, "missing" when none has it.

    Raises AgentError(model_unavailable) when no server answers.
    """
    try:
        digests = set(get_pool().read_digest(tag=tag).values())
    except ModelUnavailable as error:
        raise AgentError(ErrorCode.MODEL_UNAVAILABLE, str(error)) from error
    # A server that has lost the tag cannot answer for it.
    found = digests - {""}
    if len(found) > 1:
        return MIXED
    return next(iter(found), MISSING)


def embed_texts(texts: Sequence[str], *, urgency: Urgency = Urgency.PERSON) -> list[list[float]]:
    """One unit vector per text, in their order, by the model that `LEALIFE_EMBED_MODEL` names.

    Raises ModelUnavailable when no server answers or none has the model, ModelInvalid when one refuses the texts.
    """
    tag = settings.LEALIFE_EMBED_MODEL
    if not tag:
        raise ModelUnavailable("No model for vectors: LEALIFE_EMBED_MODEL is empty.")
    pool = get_pool()
    batches = [texts[at : at + EMBED_AT_ONCE] for at in range(0, len(texts), EMBED_AT_ONCE)]
    return [vector for batch in batches for vector in pool.embed(tag=tag, texts=batch, urgency=urgency)]


class PoolModel:
    """The agent's access to the pool, with the pool's errors translated to the agent's."""

    def __init__(self, *, urgency: Urgency = Urgency.PERSON) -> None:
        self._urgency = urgency

    def chat(
        self,
        *,
        tag: str,
        messages: Sequence[dict[str, str]],
        schema: dict[str, Any] | None,
        max_tokens: int,
        num_ctx: int,
        seed: int,
    ) -> Reply:
        """One reply. Raises AgentError with `model_unavailable` or `model_invalid`."""
        try:
            reply = get_pool().chat(
                tag=tag,
                messages=messages,
                schema=schema,
                max_tokens=max_tokens,
                num_ctx=num_ctx,
                seed=seed,
                urgency=self._urgency,
            )
        except ModelUnavailable as error:
            raise AgentError(ErrorCode.MODEL_UNAVAILABLE, str(error)) from error
        except ModelInvalid as error:
            raise AgentError(ErrorCode.MODEL_INVALID, str(error)) from error
        return Reply(
            text=reply.text,
            prompt_tokens=reply.prompt_tokens,
            cached_tokens=reply.cached_tokens,
            completion_tokens=reply.completion_tokens,
            latency_ms=int(reply.latency_ms),
            digest=reply.digest,
            cut=reply.cut,
        )
