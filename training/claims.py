"""The claim: one transaction turns the next sources into cycles and runs that hold slots and leases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from lealife.lib.announce import announce
from lealife.lib.digest import unit_interval
from lealife.lib.statements import run_statement, write_insert
from training.lane_state import lock_for_claim, read_lane_state
from training.models import Run, RuntimeSettings, TrainingCycle
from training.models.runs import LEASE

# The fence of a run that its claimer has begun.
BEGUN_FENCE = 1
_RUN = write_insert(
    Run,
    "FROM taken",
    lane="taken.lane",
    status="CASE %(worker)s WHEN '' THEN 'claimed' ELSE 'running' END",
    claimed_by="%(worker)s",
    started_at="CASE WHEN %(worker)s <> '' THEN %(now)s::timestamptz END",
    host_id="taken.host_id",
    prompt="taken.prompt",
    check_spec="taken.check_spec",
    pages_target="coalesce(taken.pages_target, %(pages_target)s::smallint)",
    max_calls="%(max_calls)s::smallint",
    requested_by="coalesce(nullif(taken.queued_by, ''), taken.queued_from)",
    # Both arms carry the canary's id: it is how they are told apart from runs outside of it.
    canary_id="%(canary)s::bigint",
    fence=str(BEGUN_FENCE),
    attempts="1",
    lease_until="%(lease_until)s::timestamptz",
)
# No two sources of one claim share a host: it says which run belongs to which source. Locked by their ids alone: with
# the status beside them the whole index of what waits may be read instead.
_OPEN_CYCLES = f"""
    WITH chosen AS (
        SELECT * FROM unnest(%(sources)s::bigint[], %(lanes)s::text[]) AS chosen (source_id, lane)
    ), locked AS (
        SELECT source.id, source.status, source.host_id, source.prompt, source.check_spec, source.pages_target,
            source.queued_by, source.queued_from, chosen.lane
        FROM training_trainingsource AS source JOIN chosen ON chosen.source_id = source.id
        FOR UPDATE OF source SKIP LOCKED
    ), taken AS (
        SELECT * FROM locked WHERE status = 'pending'
    ), run AS ({_RUN} RETURNING id, host_id),
    cycle AS (
        {write_insert(TrainingCycle, "FROM taken JOIN run USING (host_id)", source_id="taken.id", run_id="run.id")}
        RETURNING id, run_id, source_id
    ), claimed AS (
        UPDATE training_trainingsource AS source SET status = 'claimed',
            claimed_at = coalesce(claimed_at, %(now)s::timestamptz)
        FROM taken WHERE source.id = taken.id
    ), served AS (
        UPDATE training_host AS host SET last_served_at = %(now)s::timestamptz, claims = claims + 1
        FROM taken WHERE host.id = taken.host_id
    )
    SELECT run_id, id, source_id FROM cycle
"""  # noqa: S608  constants of our own, and placeholders


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
    """What a claim made."""

    run_id: int
    cycle_id: int
    source_id: int
    selection_mode: str


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
    with transaction.atomic():
        # A claim that a crash of Postgres takes back leaves its source waiting; a begun run's fence must not be lost.
        reads = lock_for_claim(now=now, relaxed=not worker)
        stopped = while_enabled and not reads.enabled
        wanted = 0 if stopped else min(limit, reads.slots.free_for_training)
        skipped: list[int] = []
        while wanted > 0:
            state = read_lane_state(reads, now=now, skip=skipped)
            chosen = {choice.waiting.source_id: choice.selection_mode for choice in state.choose_many(wanted)}
            if not chosen:
                break
            claims = _open_cycles(chosen, row=reads.row, now=now, canary=canary, worker=worker)
            if claims:
                announce("runs")
                return claims
            skipped += chosen
        return []


def _open_cycles(
    chosen: dict[int, str], *, row: RuntimeSettings, now: datetime, canary: CanarySplit | None, worker: str
) -> list[Claim]:
    served_by_candidate = [canary is not None and canary.covers(source_id) for source_id in chosen]
    opened = run_statement(
        _OPEN_CYCLES,
        {
            "sources": list(chosen),
            "lanes": [str(Run.Lane.CANARY if covered else Run.Lane.TRAINING) for covered in served_by_candidate],
            "pages_target": row.default_pages_target,
            "max_calls": row.controller_max_calls,
            "canary": canary.canary_id if canary else None,
            "lease_until": now + LEASE,
            "now": now,
            "worker": worker,
        },
    )
    return [Claim(run_id, cycle_id, source_id, chosen[source_id]) for run_id, cycle_id, source_id in opened]
