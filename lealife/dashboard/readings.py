"""Readings: everything the panels of one snapshot need, read once, at a cost that does not grow with history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet

from lealife.health import Health, read_health
from learning.models import RunLearningOutcome
from promotion.candidate_view import CandidateView, read_candidate
from promotion.models import LiveApply
from promotion.proof import ServedProof, read_served_proof
from promotion.routing import Routing, read_routing
from promotion.tags import TagList, read_tags
from promotion.windows import WindowProgress, read_window
from training.claims import NextSource, preview_next
from training.coordinator import LoopState, read_loop
from training.counters import read_counters
from training.models import Host, Run, RuntimeSettings, TrainingCycle, TrainingOutcome, TrainingSource
from training.runtime_settings import read_settings
from training.seals import ChainState, read_chain
from training.slots import Slots, read_slots

HALF_HOUR = timedelta(minutes=30)
RECENT = 100
# A half-hour count reads at most this many of the newest rows; a full reading is shown as "2,000+".
NEWEST = 2_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """Pending sources by kind and origin; hosts that may be visited."""

    queue: int
    queue_training_ui: int
    divine_status: int
    curriculum: int
    hosts: int


@dataclass(frozen=True, slots=True)
class Recent:
    """Successes among the newest outcomes, at most 100."""

    successes: int
    total: int

    @property
    def percent(self) -> int | None:
        """Whole percent, unknown without outcomes."""
        return 100 * self.successes // self.total if self.total else None


@dataclass(frozen=True, slots=True)
class Applies:
    """Switches of the serving tags: how many passed the gate, and the newest of any kind."""

    count: int
    last: LiveApply | None


@dataclass(frozen=True, slots=True)
class Readings:
    """One consistent-enough look at the system, at `now`."""

    now: datetime
    settings: RuntimeSettings
    counters: dict[str, int]
    loop: LoopState
    health: Health
    slots: Slots
    next_source: NextSource
    routing: Routing
    window: WindowProgress
    candidate: CandidateView | None
    proof: ServedProof
    tags: TagList
    chain: ChainState
    waiting: Waiting
    recent: Recent
    applies: Applies
    consumed_30m: int
    ingested_30m: int
    latest_success: TrainingOutcome | None
    open_cycles: tuple[TrainingCycle, ...]

    @property
    def backlog(self) -> int:
        """Outcomes that are not ingested yet."""
        return max(0, self.counters["outcomes.total"] - self.counters["ingested.total"])


def take_readings(*, now: datetime) -> Readings:
    """Reads everything; `now` is aware UTC. The number of queries is pinned by a test."""
    loop = read_loop(now=now)
    settings = read_settings()
    since = now - HALF_HOUR
    return Readings(
        now=now,
        settings=settings,
        counters=read_counters(),
        loop=loop,
        health=read_health(now=now, loop=loop),
        slots=read_slots(row=settings),
        next_source=preview_next(now=now),
        routing=read_routing(),
        window=read_window(),
        candidate=read_candidate(),
        proof=read_served_proof(),
        tags=read_tags(),
        chain=read_chain(),
        waiting=read_waiting(),
        recent=read_recent(),
        applies=read_applies(),
        consumed_30m=_count_newest(TrainingCycle.objects.order_by("-id"), opened_at__gte=since),
        ingested_30m=_count_newest(RunLearningOutcome.objects.order_by("-id"), ingested_at__gte=since),
        latest_success=_read_latest_success(),
        open_cycles=tuple(
            TrainingCycle.objects.filter(run__status__in=Run.OPEN)
            .select_related("run", "source", "source__host")
            .order_by("id")[:20]
        ),
    )


def read_waiting() -> Waiting:
    """Pending sources; reads the partial index of what waits, not the table."""
    queue = Q(kind=TrainingSource.Kind.QUEUE)
    counts = TrainingSource.objects.pending().aggregate(
        queue=Count("id", filter=queue),
        ui=Count("id", filter=queue & Q(queued_from="training_ui")),
        divine_status=Count("id", filter=queue & Q(title__icontains="DivineStatus")),
        curriculum=Count("id", filter=~queue),
    )
    return Waiting(
        queue=counts["queue"],
        queue_training_ui=counts["ui"],
        divine_status=counts["divine_status"],
        curriculum=counts["curriculum"],
        hosts=Host.objects.filter(enabled=True).count(),
    )


def read_recent() -> Recent:
    """The newest 100 outcomes."""
    flags = list(TrainingOutcome.objects.order_by("-id").values_list("success", flat=True)[:RECENT])
    return Recent(successes=sum(flags), total=len(flags))


def read_applies() -> Applies:
    """How many switches passed the gate, and the newest switch (a first routing is no switch)."""
    switches = LiveApply.objects.filter(from_tag__isnull=False).select_related("from_tag", "to_tag")
    return Applies(
        count=LiveApply.objects.filter(canary__isnull=False).count(),
        last=switches.order_by("-id").first(),
    )


def _read_latest_success() -> TrainingOutcome | None:
    # Among the newest only: a search for the last success would read all history when there is none.
    newest = list(TrainingOutcome.objects.order_by("-id").select_related("source")[:RECENT])
    return next((outcome for outcome in newest if outcome.success), None)


def _count_newest(rows: QuerySet[Any], **condition: datetime) -> int:
    return rows[:NEWEST].aggregate(n=Count("id", filter=Q(**condition)))["n"]
