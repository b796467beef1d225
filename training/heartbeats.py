"""Heartbeats: written by the work itself, so that they tell more than that a process breathes."""

from __future__ import annotations

from datetime import datetime, timedelta

from training.models import WorkerHeartbeat

FRESH = timedelta(seconds=90)
FORGET = timedelta(hours=1)


def beat(*, worker: str, doing: str, now: datetime) -> None:
    """Says what a worker does now; forgets workers that have been silent for an hour."""
    WorkerHeartbeat.objects.update_or_create(name=worker, defaults={"last_beat_at": now, "doing": doing})
    WorkerHeartbeat.objects.filter(last_beat_at__lt=now - FORGET).delete()


def read_fresh_workers(*, now: datetime) -> list[WorkerHeartbeat]:
    """Workers that have worked within the last minute and a half."""
    return list(WorkerHeartbeat.objects.filter(last_beat_at__gte=now - FRESH).order_by("-last_beat_at"))


def read_last_beat() -> datetime | None:
    """When any worker last worked; None before the first beat."""
    return WorkerHeartbeat.objects.order_by("-last_beat_at").values_list("last_beat_at", flat=True).first()
