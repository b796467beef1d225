"""Visited pages, and what their ingest makes of them."""

from __future__ import annotations

from learning.ingest import ingest_outcome
from learning.models import MemoryItem, RunLearningOutcome
from tests.factories import PASSAGE, START, make_html, make_step
from training.models import TrainingOutcome

FOX = make_html("Foxes", PASSAGE)


def visit(host, *, page: str = "fox", body: bytes = FOX, **changes):
    return make_step(url=f"{host.base_url}{page}", body=body, **changes)


def quote_of(step) -> dict[str, str]:
    return {"text": PASSAGE, "url": step.url, "digest": step.body_digest}


def ingest(outcome: TrainingOutcome, *, now=START) -> RunLearningOutcome | None:
    return ingest_outcome(outcome_id=outcome.pk, now=now)


def item_of(kind: str) -> MemoryItem:
    return MemoryItem.objects.get(kind=kind)
