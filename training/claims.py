"""The claim: one transaction turns the next source into a cycle and a run that hold a slot and a lease."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F

from lealife.core.announce import announce
from lealife.core.digest import unit_interval
from training.models import Coordinator, Host, Run, RuntimeSettings, TrainingCycle, TrainingSource
from training.models.runs import LEASE
from training.selection_state import ClaimReads, read_for_claim, read_lane_state
from training.slots import lock_slots

# How many sources that are being changed one claim passes over.
PASSED_OVER_MAX = 20
# The columns of a source that a claim reads.
READ = ("status", "host_id", "prompt", "check_spec", "pages_target", "queued_by", "queued_from", "claimed_at")


@dataclass(frozen=True, slots=True)
class CanarySplit:
    """Which sources the candidate serves while a canary is open: a share, by hash, in [0, 1]."""

    canary_id: int
    share: float

    def covers(self, source_id: int) -> bool:
        """Whether this source's runs belong to the candidate."""
        return unit_interval("canary", self.canary_id, source_id) < self.share


def claim_next_source(
    *, now: datetime, canary: CanarySplit | None = None, while_enabled: bool = False, worker: str = ""
) -> TrainingCycle | None:
    """Claims the next source by the lane rules, in one transaction; returns its cycle.

    The run waits until a worker begins it; that of a `worker` that claims for itself is running at once.
    None when nothing is eligible, no slot is free, or training is stopped and the claim is wanted `while_enabled`
    only. Safe to call from any number of processes: the slot lock makes slots exact, SKIP LOCKED passes over a source
    that an operator is changing just now, partial unique constraints refuse what must not coexist.
    """
    with transaction.atomic():
        lock_slots()
        if while_enabled and not Coordinator.objects.filter(id=1, enabled=True).exists():
            return None
        reads = read_for_claim()
        if not reads.slots.free_for_training:
            return None
        source = _lock_next_source(reads, now=now)
        if source is None:
            return None
        cycle = _open_cycle(source, row=reads.row, canary=canary, worker=worker, now=now)
        announce("runs")
        return cycle


def _lock_next_source(reads: ClaimReads, *, now: datetime) -> TrainingSource | None:
    """The source that the rules choose, locked."""
    passed_over: list[int] = []
    # Other claims wait for the slot lock meanwhile: when many sources are being changed, the next tick tries again.
    while len(passed_over) < PASSED_OVER_MAX:
        chosen = read_lane_state(reads, now=now, skip=passed_over).choose()
        if chosen is None:
            return None
        # Only by its id: with the status as a second condition Postgres may read the index of all waiting sources.
        source = (
            TrainingSource.objects.select_for_update(skip_locked=True).only(*READ).filter(pk=chosen.source_id).first()
        )
        if source is not None and source.status == TrainingSource.Status.PENDING and source.host_id == chosen.host_id:
            return source
        # An operator is changing it just now, or has changed it since it was chosen.
        passed_over.append(chosen.source_id)
    return None


def _open_cycle(
    source: TrainingSource, *, row: RuntimeSettings, canary: CanarySplit | None, worker: str, now: datetime
) -> TrainingCycle:
    run = Run.objects.create(
        lane=Run.Lane.CANARY if canary and canary.covers(source.pk) else Run.Lane.TRAINING,
        status=Run.Status.RUNNING if worker else Run.Status.CLAIMED,
        claimed_by=worker,
        started_at=now if worker else None,
        host_id=source.host_id,
        prompt=source.prompt,
        check_spec=source.check_spec,
        pages_target=source.pages_target or row.default_pages_target,
        max_calls=row.controller_max_calls,
        requested_by=source.queued_by or source.queued_from,
        # Both arms carry the canary's id: that is how they differ from runs outside of it.
        canary_id=canary.canary_id if canary else None,
        fence=1,
        attempts=1,
        lease_until=now + LEASE,
    )
    cycle = TrainingCycle.objects.create(source=source, run=run)
    TrainingSource.objects.filter(pk=source.pk).update(
        status=TrainingSource.Status.CLAIMED, claimed_at=source.claimed_at or now
    )
    Host.objects.filter(pk=source.host_id).update(last_served_at=now, claims=F("claims") + 1)
    return cycle
