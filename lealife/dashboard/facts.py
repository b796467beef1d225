"""Facts: the small figures of a snapshot, read in one query as columns beside the runtime settings."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, Expression, Func, IntegerField, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, JSONObject

from learning.models import RunLearningOutcome
from promotion.models import LiveApply, ModelTag
from promotion.tags import UNUSED
from training.counters import NAMES
from training.models import (
    CounterSlot,
    Host,
    OutcomeSeal,
    Run,
    RuntimeSettings,
    TrainingCycle,
    TrainingSource,
    WorkerHeartbeat,
)
from training.runtime_settings import read_settings

HALF_HOUR = timedelta(minutes=30)
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
class Facts:
    """`beats` are the workers' last heartbeats, newest first; `by_lane` counts the open runs of each lane;
    `live_applies` counts the switches that passed the gate.
    """

    settings: RuntimeSettings
    counters: dict[str, int]
    beats: tuple[datetime, ...]
    by_lane: dict[str, int]
    waiting: Waiting
    consumed_30m: int
    ingested_30m: int
    sealed_rows: int
    live_applies: int
    unused_tags: int

    @property
    def backlog(self) -> int:
        """Outcomes that are not ingested yet."""
        return max(0, self.counters["outcomes.total"] - self.counters["ingested.total"])


def read_facts(*, now: datetime) -> Facts:
    """Every small figure at `now` (aware UTC). One query; each column is an indexed read of its own."""
    looked_up = RuntimeSettings.objects.annotate(**_describe_columns(since=now - HALF_HOUR))
    row: Any = looked_up.first()
    if row is None:
        read_settings()
        row = looked_up.get()
    pending = row.pending or {}
    counted = {entry["name"]: int(entry["total"]) for entry in row.counted}
    return Facts(
        settings=row,
        counters={name: counted.get(name, 0) for name in NAMES},
        beats=tuple(row.beats),
        by_lane=dict(Counter(row.open_lanes)),
        waiting=Waiting(
            queue=pending.get("queue", 0),
            queue_training_ui=pending.get("training_ui", 0),
            divine_status=pending.get("divine_status", 0),
            curriculum=pending.get("curriculum", 0),
            hosts=row.hosts,
        ),
        consumed_30m=row.consumed,
        ingested_30m=row.ingested,
        sealed_rows=row.sealed or 0,
        live_applies=row.live_applies,
        unused_tags=row.unused_tags,
    )


def _describe_columns(*, since: datetime) -> dict[str, Expression]:
    counters = CounterSlot.objects.order_by().values("name").annotate(sum=Sum("count"))
    queue = Q(kind=TrainingSource.Kind.QUEUE)
    pending = JSONObject(
        queue=Count("id", filter=queue),
        training_ui=Count("id", filter=queue & Q(queued_from="training_ui")),
        divine_status=Count("id", filter=queue & Q(title__icontains="DivineStatus")),
        curriculum=Count("id", filter=~queue),
    )
    return {
        "counted": ArraySubquery(counters.values(pair=JSONObject(name="name", total="sum"))),
        "beats": ArraySubquery(WorkerHeartbeat.objects.order_by("-last_beat_at").values("last_beat_at")),
        "open_lanes": ArraySubquery(Run.objects.open().order_by().values("lane")),
        "pending": Subquery(
            TrainingSource.objects.pending().order_by().values("status").annotate(by=pending).values("by")
        ),
        "hosts": _count(Host.objects.filter(enabled=True)),
        "consumed": _count_newest(TrainingCycle.objects.all(), opened_at__gte=since),
        "ingested": _count_newest(RunLearningOutcome.objects.all(), ingested_at__gte=since),
        "live_applies": _count(LiveApply.objects.filter(canary__isnull=False)),
        "unused_tags": _count(ModelTag.objects.filter(status__in=UNUSED)),
        "sealed": Subquery(OutcomeSeal.objects.order_by("-row").values("row")[:1]),
    }


def _count(rows: QuerySet[Any]) -> Subquery:
    """How many rows, as a column. A plain function, because an aggregate of Django's would group the rows by id."""
    number = Func("pk", function="COUNT", output_field=IntegerField())
    return Subquery(rows.order_by().annotate(number=number).values("number"))


def _count_newest(rows: QuerySet[Any], **condition: datetime) -> Subquery:
    """How many of the newest 2,000 rows meet a condition: bounded by id, so that history is never read."""
    oldest = Subquery(rows.order_by("-id").values("id")[NEWEST : NEWEST + 1])
    return _count(rows.filter(id__gt=Coalesce(oldest, 0), **condition))
