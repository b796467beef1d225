"""Ingestion: the stage that turns outcomes into memory. One that fails does not delay the others."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import InterfaceError, OperationalError, transaction

from lealife.pipeline.bell import ring
from learning.ingest import ingest_outcome, lock_waiting_outcome

log = logging.getLogger(__name__)


def ingest_next(now: datetime) -> bool:
    """Turns the oldest waiting outcome into memory and rings for the window; False when none waits."""
    outcome_id = None
    try:
        with transaction.atomic():
            outcome_id = lock_waiting_outcome()
            if outcome_id is None:
                return False
            if ingest_outcome(outcome_id=outcome_id, now=now):
                ring("window")
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        if outcome_id is None:
            raise
        log.exception("outcome %s was not ingested, trying once more", outcome_id)
        _ingest_alone(outcome_id, now=now)
    return True


def _ingest_alone(outcome_id: int, *, now: datetime) -> None:
    try:
        with transaction.atomic():
            ingest_outcome(outcome_id=outcome_id, now=now)
            ring("window")
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        # The worker's edge: an outcome that fails twice is marked as ingested with its error, so that it delays no
        # other.
        log.exception("outcome %s taught nothing", outcome_id)
        ingest_outcome(outcome_id=outcome_id, now=now, error=f"{type(error).__name__}: {error}"[:500])
