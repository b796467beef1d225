"""The claim: one transaction turns the next source into a cycle and a run that holds a slot and a lease."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from lealife.lib.announce import announce
from lealife.lib.digest import unit_interval
from training import lanes
from training.counters import read_counters
from training.models import Campaign, Host, Run, RuntimeSettings, TrainingCycle, TrainingSource
from training.models.sources import AGEING_S
from training.runtime_settings import read_settings
from training.slots import lock_slots, read_slots

LEASE = timedelta(seconds=settings.LEALIFE_RUN_LEASE_S)

_HEADS = """
    SELECT head.id, head.kind, head.host_id, head.queue_rank, head.campaign_id, host.last_served_at
    FROM training_host host
    CROSS JOIN (VALUES ('queue'), ('curriculum')) AS kinds (kind)
    CROSS JOIN LATERAL (
        SELECT source.id, source.kind, source.host_id, source.queue_rank, source.campaign_id
        FROM training_trainingsource source
        WHERE source.status = 'pending' AND source.kind = kinds.kind AND source.host_id = host.id
          AND (source.not_before IS NULL OR source.not_before <= %(now)s)
          AND (%(campaign)s::bigint IS NULL OR source.kind <> 'queue' OR source.campaign_id = %(campaign)s)
          AND source.id <> ALL(%(skip)s)
        ORDER BY source.queue_rank, source.id
        LIMIT 1
    ) AS head
    WHERE host.enabled
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
    """What a claim made."""

    run_id: int
    cycle_id: int
    source_id: int
    selection_mode: str


@dataclass(frozen=True, slots=True)
class NextSource:
    """What comes next, from the same rules that claim."""

    source: TrainingSource | None
    selection_mode: str
    host_lock: str | None
    sentence: str


def claim_next_source(*, now: datetime, canary: CanarySplit | None = None) -> Claim | None:
    """Claims the next source by the lane rules; None when nothing is eligible or no slot is free.

    Safe to call from any number of processes: the slot lock makes slots exact, SKIP LOCKED passes over a source
    that an operator is changing just now, partial unique constraints refuse what must not coexist.
    """
    with transaction.atomic():
        lock_slots()
        row = read_settings()
        slots = read_slots(row=row)
        if not slots.free_for_training:
            return None
        skipped: list[int] = []
        while True:
            choice = read_lane_state(row=row, now=now, skip=skipped).choose()
            if choice.waiting is None:
                return None
            source = (
                TrainingSource.objects.select_for_update(skip_locked=True)
                .filter(pk=choice.waiting.source_id, status=TrainingSource.Status.PENDING)
                .first()
            )
            if source is not None:
                return _open_cycle(source, row=row, now=now, canary=canary, selection_mode=choice.selection_mode)
            skipped.append(choice.waiting.source_id)


@dataclass(frozen=True, slots=True)
class LaneState:
    """What the lane rules decide on, as it is now."""

    heads: list[lanes.Waiting]
    rules: lanes.LaneRules
    busy_hosts: frozenset[int]
    locked_host: str | None

    def choose(self) -> lanes.Choice:
        """What the rules choose."""
        return lanes.choose_source(self.heads, rules=self.rules, busy_hosts=self.busy_hosts)


@dataclass(frozen=True, slots=True)
class LaneReads:
    """What the rules need besides the heads: hosts with a running cycle, hosts served last (newest first, at
    least as many as the recent host window), and how many outcomes there are.
    """

    busy_hosts: frozenset[int]
    recent_hosts: tuple[int, ...]
    outcomes: int


def read_lanes(*, row: RuntimeSettings) -> LaneReads:
    """The reads as they are now. Three queries."""
    return LaneReads(read_busy_hosts(), read_recent_hosts(row.recent_host_window), read_counters()["outcomes.total"])


def read_lane_state(
    *, row: RuntimeSettings, now: datetime, skip: list[int] | None = None, reads: LaneReads | None = None
) -> LaneState:
    """The heads of all queues and the rules, `skip` (source ids) passed over; pass `reads` already made."""
    locked = read_locked_campaign() if row.campaign_lock else None
    reads = reads or read_lanes(row=row)
    rules = lanes.LaneRules(
        mode=row.source_lane_mode,
        curriculum_fallback=row.curriculum_fallback,
        campaign_lock=row.campaign_lock,
        recent_hosts=reads.recent_hosts[: row.recent_host_window],
        locked_campaign_id=locked.pk if locked else None,
        locked_host_id=locked.host_id if locked else None,
        # Claims so far: those that have left their outcome, and one running on each busy host.
        turn=reads.outcomes + len(reads.busy_hosts),
    )
    heads = read_heads(now=now, campaign_id=rules.locked_campaign_id, skip=skip or [])
    return LaneState(heads, rules, reads.busy_hosts, locked.host.name if locked else None)


@dataclass(frozen=True, slots=True)
class Preview:
    """What the next claim would take, before the source itself has been read."""

    choice: lanes.Choice
    waits_for_host: bool
    locked_host: str | None

    @property
    def source_id(self) -> int | None:
        """The source to read; None when there is no next one."""
        return self.choice.waiting.source_id if self.choice.waiting else None

    def describe(self, source: TrainingSource | None) -> NextSource:
        """The preview with its source, which needs its host loaded."""
        if source is None:
            return NextSource(None, lanes.NONE, self.locked_host, "No eligible next source.")
        when = "Next, when its host is free" if self.waits_for_host else "Next"
        sentence = f"{when}: “{source.title}” on {source.host.name}."
        return NextSource(source, self.choice.selection_mode, self.locked_host, sentence)


def preview_next(*, now: datetime) -> NextSource:
    """What the next claim would take: the claim's own choice, with the claim left out."""
    preview = choose_preview(row=read_settings(), now=now)
    return preview.describe(TrainingSource.objects.select_related("host").filter(pk=preview.source_id).first())


def choose_preview(*, row: RuntimeSettings, now: datetime, reads: LaneReads | None = None) -> Preview:
    """The claim's own choice; pass `reads` already made.

    While every host with waiting sources is busy nothing can be claimed; then the source whose turn comes when
    its host is free is shown.
    """
    state = read_lane_state(row=row, now=now, reads=reads)
    choice = state.choose()
    waits_for_host = choice.waiting is None
    if waits_for_host:
        choice = replace(state, busy_hosts=frozenset()).choose()
    return Preview(choice, waits_for_host, state.locked_host)


def read_heads(*, now: datetime, campaign_id: int | None, skip: list[int]) -> list[lanes.Waiting]:
    """The head of each host's queue, both kinds."""
    with connection.cursor() as cursor:
        cursor.execute(_HEADS, {"now": now, "campaign": campaign_id, "skip": skip})
        return [
            lanes.Waiting(
                source_id=source_id,
                kind=kind,
                host_id=host_id,
                level=int((now.timestamp() - rank) // AGEING_S),
                rank=rank,
                campaign_id=campaign,
                host_last_served=served,
            )
            for source_id, kind, host_id, rank, campaign, served in cursor.fetchall()
        ]


def read_busy_hosts() -> frozenset[int]:
    """Hosts with a running training run."""
    open_cycles = Run.objects.open().filter(lane__in=Run.CYCLE_LANES)
    return frozenset(open_cycles.values_list("host_id", flat=True))


def read_recent_hosts(window: int) -> tuple[int, ...]:
    """The hosts served last, newest first."""
    served = Host.objects.filter(last_served_at__isnull=False).order_by("-last_served_at")
    return tuple(served.values_list("id", flat=True)[:window])


def read_locked_campaign() -> Campaign | None:
    """The campaign that has started and not drained; under the campaign lock only it may run.

    A campaign whose host is disabled locks nobody out: it could never drain.
    """
    started = TrainingSource.objects.filter(
        campaign__isnull=False, claimed_at__isnull=False, campaign__cancelled_at=None, host__enabled=True
    )
    waiting = TrainingSource.objects.filter(
        campaign__isnull=False,
        status__in=[TrainingSource.Status.PENDING, TrainingSource.Status.CLAIMED],
        campaign_id__in=started.values("campaign_id"),
    )
    first = waiting.order_by("campaign_id").values_list("campaign_id", flat=True).first()
    return Campaign.objects.select_related("host").get(pk=first) if first else None


def _open_cycle(
    source: TrainingSource, *, row: RuntimeSettings, now: datetime, canary: CanarySplit | None, selection_mode: str
) -> Claim:
    serves_candidate = canary is not None and canary.covers(source.pk)
    run = Run.objects.create(
        lane=Run.Lane.CANARY if serves_candidate else Run.Lane.TRAINING,
        status=Run.Status.CLAIMED,
        host_id=source.host_id,
        prompt=source.prompt,
        check_spec=source.check_spec,
        pages_target=source.pages_target or row.default_pages_target,
        max_calls=row.controller_max_calls,
        requested_by=source.queued_by or source.queued_from,
        # Both arms carry the canary's id: it is how they are told apart from runs outside of it.
        canary_id=canary.canary_id if canary else None,
        fence=1,
        attempts=1,
        lease_until=now + LEASE,
    )
    cycle = TrainingCycle.objects.create(source=source, run=run)
    TrainingSource.objects.filter(pk=source.pk).update(status=TrainingSource.Status.CLAIMED, claimed_at=now)
    Host.objects.filter(pk=source.host_id).update(last_served_at=now)
    announce("runs")
    return Claim(run.pk, cycle.pk, source.pk, selection_mode)
