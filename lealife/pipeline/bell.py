"""The only module that uses django-q2. A queued task (a "bell") wakes a worker; our own tables decide what it does."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone
from django_q.models import Failure, OrmQ, Schedule
from django_q.tasks import async_task

COORDINATE = "lealife.pipeline.stages.coordinate"
DRAIN = "lealife.pipeline.stages.drain"
KEEP_FAILURES = timedelta(days=7)
# When bells have waited this long and no worker has written a heartbeat, the cluster is stuck.
WEDGED_AFTER = timedelta(seconds=90)
SCHEDULED_EVERY = timedelta(minutes=1)


def ring(stage: str) -> None:
    """Wakes a worker for a stage. Joins the caller's transaction: a rollback takes the bell with it."""
    async_task(DRAIN, stage)


def ring_coordinator() -> None:
    """Wakes a worker to lead the loop."""
    async_task(COORDINATE)


def ensure_schedule() -> None:
    """Schedules a bell for a coordinator every minute. It replaces a lost bell, also after a clock moved back."""
    schedule, _ = Schedule.objects.get_or_create(
        name="coordinator",
        defaults={"func": COORDINATE, "schedule_type": Schedule.MINUTES, "minutes": 1, "repeats": -1},
    )
    now = timezone.now()
    Schedule.objects.filter(pk=schedule.pk, next_run__gt=now + 2 * SCHEDULED_EVERY).update(next_run=now)


def select_waiting(*, now: datetime) -> QuerySet[OrmQ]:
    """Bells that wait for a worker at `now` (aware UTC)."""
    return OrmQ.objects.filter(lock__lte=now)


def read_queue_depth() -> int:
    """How many bells wait for a worker."""
    return select_waiting(now=timezone.now()).count()


def has_wedged(*, last_beat_at: datetime | None) -> bool:
    """Whether bells wait and no work is done. django-q2 can lose its workers without noticing.

    `last_beat_at` is the newest heartbeat of any worker.
    """
    long_ago = timezone.now() - WEDGED_AFTER
    silent = last_beat_at is None or last_beat_at < long_ago
    return silent and OrmQ.objects.filter(lock__lt=long_ago).exists()


def forget_failures() -> None:
    """Deletes django-q2's records of failed bells after a week. Our own rows and the log show what failed."""
    Failure.objects.filter(stopped__lt=timezone.now() - KEEP_FAILURES).delete()
