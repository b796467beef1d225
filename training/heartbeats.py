"""Heartbeats: written by the work itself, so that they tell more than that a process breathes."""

from __future__ import annotations

from datetime import datetime, timedelta

from training.models import WorkerHeartbeat

FRESH = timedelta(seconds=90)
FORGET = timedelta(hours=1)
# A process that leads the loop without being a worker: that it lives says nothing about those who do the work.
DAEMON = "daemon"


def is_fresh(beat_at: datetime, *, now: datetime) -> bool:
    """Whether work that was done at `beat_at` counts as done just now.

    A beat from further ahead than any honest clock could be was written before the clock was put back: it says
    nothing about now.
    """
    return now - FRESH <= beat_at <= now + FRESH


def beat(*, worker: str, doing: str, now: datetime) -> None:
    """Says what a worker does now; forgets workers silent for an hour, and beats from a clock that was put back."""
    WorkerHeartbeat.objects.update_or_create(name=worker, defaults={"last_beat_at": now, "doing": doing})
    WorkerHeartbeat.objects.exclude(last_beat_at__range=(now - FORGET, now + FRESH)).delete()


def read_last_beat(*, now: datetime) -> datetime | None:
    """When any worker last worked; None before the first beat."""
    beats = WorkerHeartbeat.objects.exclude(doing=DAEMON).filter(last_beat_at__lte=now + FRESH)
    beats = beats.order_by("-last_beat_at")
    return beats.values_list("last_beat_at", flat=True).first()
