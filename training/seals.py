"""The hash chain over outcomes: sealed in order by one stage, behind the inserts."""

from __future__ import annotations

from django.db import connection, transaction

from lealife.core.digest import digest_value
from training.anchors import count_seals, keep_anchor
from training.counters import read_counters
from training.models import OutcomeSeal, TrainingOutcome

SEAL_LOCK = 0x4C655365
GENESIS = "0" * 64
# Outcomes commit out of id order, never by more than this many rows.
COMMIT_SPREAD = 10_000


def hash_outcome(outcome: TrainingOutcome, *, previous: str) -> str:
    """sha256 over the previous hash and every column of the outcome."""
    return digest_value([previous, read_columns(outcome)])


def read_columns(outcome: TrainingOutcome) -> dict[str, object]:
    """Every column of the outcome as plain values: what the chain hashes."""
    columns = {field.attname: getattr(outcome, field.attname) for field in TrainingOutcome._meta.concrete_fields}
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in columns.items()}


def seal_outcomes(*, limit: int = 500) -> int:
    """Appends unsealed outcomes to the chain; returns how many. One process at a time, others return 0."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SEAL_LOCK])
            if not cursor.fetchone()[0]:
                return 0
        last = OutcomeSeal.objects.order_by("-row").first()
        row, previous, after = (last.row, last.hash, last.outcome_id) if last else (0, GENESIS, 0)
        unsealed = TrainingOutcome.objects.filter(pk__gt=after - COMMIT_SPREAD, seal=None).order_by("pk")
        seals = []
        for outcome in unsealed[:limit]:
            row += 1
            current = hash_outcome(outcome, previous=previous)
            seals.append(OutcomeSeal(row=row, outcome=outcome, previous_hash=previous, hash=current))
            previous = current
        OutcomeSeal.objects.bulk_create(seals)
        if seals:
            keep_anchor(rows=row, head=previous)
        return len(seals)


def count_unsealed() -> int:
    """How many outcomes wait for their seal, from the counters."""
    return max(0, read_counters()["outcomes.total"] - count_seals())
