"""Vectors of texts for recall, the agent and the site index; none while no model server makes them."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from django.conf import settings

from lealife.core.gateway import ModelError, ModelUnavailable
from lealife.pipeline.pool import embed_texts

log = logging.getLogger(__name__)

# After a failure no server is asked for so many seconds: questions are answered by their words alone meanwhile.
PAUSE_S = 30.0
_paused_until = 0.0


def can_embed() -> bool:
    """Whether a model for vectors is named, and no server failed to use it a moment ago."""
    return bool(settings.LEALIFE_EMBED_MODEL) and time.monotonic() >= _paused_until


def embed_if_possible(texts: Sequence[str]) -> list[list[float]]:
    """One unit vector per text; empty when no model server makes them, which is no error here."""
    if not can_embed():
        return []
    try:
        return embed_texts(texts)
    except ModelUnavailable as error:
        pause_embedding(error)
    except ModelError as error:
        log.warning("a text was refused, so its question is answered by its words alone: %s", error)
    return []


def pause_embedding(error: ModelUnavailable) -> None:
    """No server makes vectors now: asks none for a while."""
    global _paused_until
    _paused_until = time.monotonic() + PAUSE_S
    log.warning("no vectors for %g seconds: %s", PAUSE_S, error)
