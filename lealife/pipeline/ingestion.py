"""Ingestion: the stage that turns outcomes into memory, several at a time; one that breaks holds up no other."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import InterfaceError, OperationalError, transaction

from lealife.pipeline.bell import ring
from learning.ingest import ingest_next, ingest_outcome, read_backlog, read_uningested
from training.seals import COMMIT_SPREAD

log = logging.getLogger(__name__)
# Outcomes that are ingested in one transaction at most.
BATCH = 20


def ingest_batch(now: datetime) -> bool:
    """Turns the oldest outcomes that wait into memory, and rings for the window; False when none waits."""
    try:
        with transaction.atomic():
            ingested = ingest_next(now=now, limit=BATCH)
            if not ingested and read_backlog():
                # One that committed long after its neighbours lies further back.
                ingested = ingest_next(now=now, limit=BATCH, spread=COMMIT_SPREAD)
            if ingested:
                ring("window")
        return bool(ingested)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        # Which of them cannot be learned from shows when each is taken alone.
        log.exception("a batch of outcomes is ingested one by one")
    for outcome_id in read_uningested().values_list("pk", flat=True)[:BATCH]:
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
        # The worker's edge: what cannot be learned from is ingested as such, once, and holds up no other.
        log.exception("outcome %s taught nothing", outcome_id)
        ingest_outcome(outcome_id=outcome_id, now=now, error=f"{type(error).__name__}: {error}"[:500])
