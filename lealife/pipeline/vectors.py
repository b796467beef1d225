"""Vectors of texts for recall, the agent and the site index; none while no model server makes them."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import lru_cache, partial

from django.conf import settings

from lealife.core.gateway import ModelError, ModelUnavailable
from lealife.core.model_names import normalise_name
from lealife.core.urgency import Urgency
from lealife.pipeline.pool import embed_texts, get_pool
from learning.index.vectors import note_model

log = logging.getLogger(__name__)

# After a failure no server is asked for so many seconds: questions are answered by their words alone meanwhile.
PAUSE_S = 30.0
# How often the servers are asked which model they have, in seconds.
LOOK_EVERY_S = 30.0
_paused_until = 0.0


def can_embed() -> bool:
    """Whether a model for vectors is named, and no server failed to use it a moment ago."""
    return bool(settings.LEALIFE_EMBED_MODEL) and time.monotonic() >= _paused_until


def find_embedder() -> int:
    """The number of the model that makes vectors now, which changes when its name or its digest on the servers does.

    Raises ModelUnavailable when no server answers or none has it, ModelInvalid as the servers do.
    """
    name = normalise_name(settings.LEALIFE_EMBED_MODEL)
    digests = _read_digests(name, settings.OLLAMA_HOST, round(time.monotonic() / LOOK_EVERY_S))
    if not digests:
        raise ModelUnavailable(f"No model server has {name}.")
    return note_model(name=name, digests=digests)


@lru_cache(maxsize=1)
def _read_digests(name: str, hosts: str, at: int) -> frozenset[str]:
    # `hosts` and `at` are part of the key: other servers, or the same ones later, are asked again.
    return frozenset(get_pool().read_digest(tag=name).values()) - {""}


def note_embedder() -> None:
    """Notices a changed model before its vectors are compared with stored ones. It is no error when no server answers.

    The servers are asked twice a minute at most.
    """
    if not can_embed():
        return
    try:
        find_embedder()
    except ModelError as error:
        log.info("the model for vectors is unknown: %s", error)


def embed_if_possible(texts: Sequence[str], *, urgency: Urgency = Urgency.PERSON) -> list[list[float]]:
    """One unit vector per text; empty when no model server makes them, which is no error here."""
    if not can_embed():
        return []
    try:
        return embed_texts(texts, urgency=urgency)
    except ModelUnavailable as error:
        pause_embedding(error)
    except ModelError as error:
        log.warning("a text was refused, so its question is answered by its words alone: %s", error)
    return []


# For training and evaluations, which wait while people ask.
embed_for_training = partial(embed_if_possible, urgency=Urgency.TRAINING)


def pause_embedding(error: ModelUnavailable) -> None:
    """No server makes vectors now: asks none for a while."""
    global _paused_until
    _paused_until = time.monotonic() + PAUSE_S
    log.warning("no vectors for %g seconds: %s", PAUSE_S, error)
