"""The claim: one transaction turns the next sources into cycles and runs that hold slots and leases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lealife.core.announce import announce
from lealife.core.digest import unit_interval
from lealife.core.statements import brief_transaction, run_last
from training.models import RuntimeSettings
from training.models.runs import LEASE
from training.runtime_settings import read_settings
from training.selection_state import NoSettings, lock_for_claim, read_lane_state

# Migration 0008 tells how. No two sources of one claim share a host: it says which run belongs to which source.
_OPEN_CYCLES = """
    SELECT run, cycle, source, given FROM training_open_cycles(
        %(chosen)s::bigint[], %(covered)s::bigint[], %(worker)s::text, %(now)s::timestamptz,
        %(lease_until)s::timestamptz, %(pages_target)s::smallint, %(max_calls)s::smallint, %(canary)s::bigint
    )
"""


@dataclass(frozen=True, slots=True)
class CanarySplit:
    """Which sources the candidate serves while a canary is open: a share, by hash, in [0, 1]."""

    canary_id: int
    share: float

    def covers(self, source_id: int) -> bool:
        """Whether this source's runs belong to the candidate."""
        return unit_interval("canary", self.canary_id, source_id) < self.share


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim made; whoever begins the run gets another fence, its claimer has begun it under this one."""

    run_id: int
    cycle_id: int
    source_id: int
    selection_mode: str
    fence: int


def claim_next_source(*, now: datetime, canary: CanarySplit | None = None) -> Claim | None:
    """Claims the next source by the lane rules; None when nothing is eligible or no slot is free."""
    return next(iter(claim_sources(now=now, limit=1, canary=canary)), None)


def claim_sources(
    *, now: datetime, limit: int, canary: CanarySplit | None = None, worker: str = "", while_enabled: bool = False
) -> list[Claim]:
    """Claims the next sources by the lane rules, at most `limit` and one a host, in one transaction.

    Their runs wait for a worker, or are begun already by the `worker` that claims for itself. Fewer, or none, when
    no more are eligible, no slot is free, or training is stopped and they are wanted `while_enabled` only. Safe to
    call from any number of processes: the slot lock makes slots exact, SKIP LOCKED passes over a source that an
    operator is changing just now, partial unique constraints refuse what must not coexist.
    """
    try:
        claims = _claim(now=now, limit=limit, canary=canary, worker=worker, while_enabled=while_enabled)
    except NoSettings:
        read_settings()
        claims = _claim(now=now, limit=limit, canary=canary, worker=worker, while_enabled=while_enabled)
    if claims:
        announce("runs")
    return claims


def _claim(*, now: datetime, limit: int, canary: CanarySplit | None, worker: str, while_enabled: bool) -> list[Claim]:
    skipped: list[int] = []
    while True:
        with brief_transaction():
            reads = lock_for_claim(now=now, wanted=limit)
            stopped = while_enabled and not reads.enabled
            wanted = 0 if stopped else min(limit, reads.slots.free_for_training)
            state = read_lane_state(reads, now=now, skip=skipped) if wanted > 0 else None
            choices = state.choose_many(wanted) if state else ()
            chosen = {choice.waiting.source_id: choice.selection_mode for choice in choices}
            claims = _open_cycles(chosen, row=reads.row, now=now, canary=canary, worker=worker) if chosen else []
        if claims or not chosen:
            return claims
        # An operator was changing all of them just now: again without them, and under the slot lock anew.
        skipped += chosen


def _open_cycles(
    chosen: dict[int, str], *, row: RuntimeSettings, now: datetime, canary: CanarySplit | None, worker: str
) -> list[Claim]:
    covered = [source_id for source_id in chosen if canary is not None and canary.covers(source_id)]
    opened = run_last(
        _OPEN_CYCLES,
        {
            "chosen": list(chosen),
            "covered": covered,
            "pages_target": row.default_pages_target,
            "max_calls": row.controller_max_calls,
            # Both arms carry the canary's id: it is how they are told apart from runs outside of it.
            "canary": canary.canary_id if canary else None,
            "lease_until": now + LEASE,
            "now": now,
            "worker": worker,
        },
    )
    return [
        Claim(run_id, cycle_id, source_id, chosen[source_id], fence) for run_id, cycle_id, source_id, fence in opened
    ]
