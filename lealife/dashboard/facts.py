"""Facts: the small figures that every page begins with, each an indexed read of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, Q, QuerySet, Subquery
from django.db.models.functions import JSONObject

from lealife.core.row_count import RowCount
from lealife.dashboard.rows import fill_row
from lealife.pipeline.bell import select_waiting
from learning.models import CurriculumTask, FrontierPage, RunLearningOutcome
from promotion.models import LiveApply, ModelTag
from promotion.tags import UNUSED
from training.coordinator import read_coordinator
from training.counters import count_by_lane, read_kept, sum_counters
from training.heartbeats import DAEMON
from training.models import (
    ChainCheck,
    Coordinator,
    Host,
    ModelServerFault,
    OutcomeSeal,
    RuntimeSettings,
    TrainingCycle,
    TrainingSource,
    WorkerHeartbeat,
)
from training.runtime_settings import read_settings
from training.settings_catalogue import SETTINGS

HALF_HOUR = timedelta(minutes=30)
# A half-hour count reads at most this many of the newest rows; a full reading is shown as "2,000+".
NEWEST = 2_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """Pending sources by kind and origin; hosts that may be visited.

    `tasks`, `unmastered` and `unread` say whether there is any training task, any that is not mastered, and any page
    that is still to be read: 0 or 1.
    """

    queue: int
    queue_training_ui: int
    curriculum: int
    hosts: int
    tasks: int
    unmastered: int
    unread: int

    @property
    def is_all_learned(self) -> bool:
        """Whether every site is read through and every training task made of it is mastered."""
        return bool(self.tasks) and not self.unmastered and not self.unread

    @property
    def queue_other(self) -> int:
        """Queued from anywhere but the training page."""
        return self.queue - self.queue_training_ui


@dataclass(frozen=True, slots=True)
class Facts:
    """`beats` are the workers' last heartbeats, newest first; `by_lane` counts the open runs of each lane;
    `live_applies` counts the switches that passed the gate.
    """

    settings: RuntimeSettings
    counters: dict[str, int]
    beats: list[datetime]
    by_lane: dict[str, int]
    waiting: Waiting
    consumed_30m: int
    ingested_30m: int
    sealed_rows: int
    verified_rows: int  # of the sealed ones, walked again
    broken_at: int | None  # the first row that does not follow from the one before
    chain_fault: str  # what is wrong with the chain, in a sentence
    live_applies: int
    unused_tags: int
    queue_depth: int  # bells that wait
    launched_at: datetime | None  # the newest cycle's, whoever picked it
    failed_servers: list[str]  # model servers that failed in a chat and were not found well since
    recent_hosts: list[int]  # newest first, as many as the recent host window may hold at most
    coordinator: Coordinator

    @property
    def backlog(self) -> int:
        """Outcomes that are not ingested yet."""
        return max(0, self.counters["outcomes.total"] - self.counters["ingested.total"])


def read_facts(*, now: datetime) -> Facts:
    """Every small figure at `now` (aware UTC). Four queries: counters, coordinator, cycles, and the rest."""
    counted = read_kept()
    coordinator = read_coordinator()
    row = _select_figures(now=now).first()
    if row is None:
        # A new installation has no settings yet: reading them makes the row.
        read_settings()
        row = _select_figures(now=now).get()
    chain = row.chain or {"verified_rows": 0, "broken_at": None, "fault": ""}
    return fill_row(
        Facts,
        row,
        settings=row,
        counters=sum_counters(counted),
        by_lane=count_by_lane(counted),
        waiting=fill_row(Waiting, row),
        consumed_30m=_count_cycles(since=now - HALF_HOUR),
        sealed_rows=row.sealed_rows or 0,
        verified_rows=chain["verified_rows"],
        broken_at=chain["broken_at"],
        chain_fault=chain["fault"],
        coordinator=coordinator,
    )


def _count_cycles(*, since: datetime) -> int:
    """How many of the newest cycles were opened since. No index has their times, and history is never read."""
    newest = TrainingCycle.objects.order_by("-id")[:NEWEST]
    count: int = newest.aggregate(opened=Count("pk", filter=Q(opened_at__gte=since)))["opened"]
    return count


def _select_figures(*, now: datetime) -> QuerySet[Any]:
    """The row of settings, with each figure as one more column."""
    queue = TrainingSource.objects.pending().operator_queue()
    cycles = TrainingCycle.objects.order_by("-id")
    ingested_lately = RunLearningOutcome.objects.filter(ingested_at__gte=now - HALF_HOUR).order_by("-ingested_at")
    workers = WorkerHeartbeat.objects.exclude(doing=DAEMON).order_by("-last_beat_at")
    served = Host.objects.filter(last_served_at__isnull=False).order_by("-last_served_at")
    return RuntimeSettings.objects.annotate(
        queue=RowCount(queue.order_by()),
        queue_training_ui=RowCount(queue.filter(queued_from="training_ui").order_by()),
        curriculum=RowCount(TrainingSource.objects.pending().curriculum().order_by()),
        hosts=RowCount(Host.objects.filter(enabled=True).order_by()),
        tasks=RowCount(
            CurriculumTask.objects.asked().filter(split=CurriculumTask.Split.TRAIN, host__enabled=True).order_by()[:1]
        ),
        unmastered=RowCount(CurriculumTask.objects.unmastered().order_by()[:1]),
        unread=RowCount(FrontierPage.objects.unread().order_by()[:1]),
        ingested_30m=RowCount(ingested_lately[:NEWEST]),
        sealed_rows=Subquery(OutcomeSeal.objects.order_by("-row").values("row")[:1]),
        chain=Subquery(
            ChainCheck.objects.values(
                found=JSONObject(verified_rows="verified_rows", broken_at="broken_at", fault="fault")
            )
        ),
        live_applies=RowCount(LiveApply.objects.filter(canary__isnull=False).order_by()),
        unused_tags=RowCount(ModelTag.objects.filter(status__in=UNUSED).order_by()),
        queue_depth=RowCount(select_waiting(now=now)),
        launched_at=Subquery(cycles.values("opened_at")[:1]),
        beats=ArraySubquery(workers.values("last_beat_at")),
        failed_servers=ArraySubquery(ModelServerFault.objects.values("host")),
        recent_hosts=ArraySubquery(served.values("pk")[: SETTINGS["recent_host_window"].most]),
    )
