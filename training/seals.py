"""The hash chain over outcomes: sealed in order by one stage, behind the inserts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from django.db import connection, transaction

from lealife.core.digest import digest_value
from training.anchors import find_anchor_fault, keep_anchor, read_anchors
from training.counters import read_counters
from training.models import OutcomeSeal, TrainingOutcome

SEAL_LOCK = 0x4C655365
GENESIS = "0" * 64
# Outcomes commit out of id order, never by more than this many rows.
COMMIT_SPREAD = 10_000


@dataclass(frozen=True, slots=True)
class ChainState:
    """How far the chain reaches; `broken_at` is the first row whose hash does not follow, if one was found.

    `fault` says what is wrong in a sentence; empty when nothing is.
    """

    sealed_rows: int
    unsealed: int
    last_hash: str
    broken_at: int | None = None
    fault: str = ""


def hash_outcome(outcome: TrainingOutcome, *, previous: str) -> str:
    """sha256 over the previous hash and every column of the outcome."""
    return digest_value([previous, read_columns(outcome)])


def read_columns(outcome: TrainingOutcome) -> dict[str, object]:
    """Every column of the outcome as plain values: what the chain hashes."""
    columns = {field.attname: getattr(outcome, field.attname) for field in TrainingOutcome._meta.concrete_fields}
    return {name: _plain(value) for name, value in columns.items()}


def seal_outcomes(*, limit: int = 500) -> int:
    """Appends unsealed outcomes to the chain; returns how many. One process at a time, others return 0."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SEAL_LOCK])
            if not cursor.fetchone()[0]:
                return 0
        last = OutcomeSeal.objects.order_by("-row").first()
        row, previous = (last.row, last.hash) if last else (0, GENESIS)
        seals = []
        for outcome in read_unsealed(after=last.outcome_id if last else 0)[:limit]:
            row += 1
            current = hash_outcome(outcome, previous=previous)
            seals.append(OutcomeSeal(row=row, outcome=outcome, previous_hash=previous, hash=current))
            previous = current
        OutcomeSeal.objects.bulk_create(seals)
        if seals:
            keep_anchor(rows=row, head=previous)
        return len(seals)


def read_unsealed(*, after: int):
    """Outcomes without a seal, oldest first."""
    return TrainingOutcome.objects.filter(pk__gt=after - COMMIT_SPREAD, seal=None).order_by("pk")


def read_chain() -> ChainState:
    """How far the chain reaches, without walking it."""
    last = OutcomeSeal.objects.order_by("-row").first()
    sealed = last.row if last else 0
    return ChainState(
        sealed_rows=sealed,
        unsealed=max(0, read_counters()["outcomes.total"] - sealed),
        last_hash=last.hash if last else GENESIS,
    )


def verify_chain() -> ChainState:
    """Walks the whole chain, recomputes every hash and looks whether it reaches its anchors."""
    anchors, state = read_anchors(), read_chain()
    previous, expected_row = GENESIS, 1
    for seal in _walk():
        if not does_follow(seal, row=expected_row, previous=previous):
            return replace(state, broken_at=expected_row, fault=name_break(expected_row))
        previous, expected_row = seal.hash, expected_row + 1
    # The walk does not meet a seal whose outcome is gone. At the chain's end only the count shows it.
    if expected_row <= state.sealed_rows:
        return replace(state, broken_at=expected_row, fault=name_break(expected_row))
    fault = find_anchor_fault(anchors)
    return replace(state, broken_at=expected_row, fault=fault) if fault else state


def name_break(row: int) -> str:
    """What a row that does not follow means."""
    return f"Row {row:,} does not match its seal: outcomes were changed or removed."


def does_follow(seal: OutcomeSeal, *, row: int, previous: str) -> bool:
    """Whether `seal` is row `row`, follows the hash before it and still hashes its outcome."""
    linked = seal.row == row and seal.previous_hash == previous
    return linked and hash_outcome(seal.outcome, previous=previous) == seal.hash


def _walk() -> Iterator[OutcomeSeal]:
    return OutcomeSeal.objects.select_related("outcome").order_by("row").iterator(chunk_size=2_000)


def _plain(value: object) -> object:
    return value.isoformat() if hasattr(value, "isoformat") else value
