"""Health of the system, derived in this one place for every page, the API and the probes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError

from lealife.model_health import ModelHealth, Suspects, model_probe
from lealife.pipeline.bell import read_queue_depth
from lealife.storage import SCARCE_BELOW, describe_scarcity, find_disk_fault, read_free_bytes
from promotion.routing import Routing, read_routing
from training.coordinator import LoopState, read_loop
from training.heartbeats import DAEMON, is_fresh
from training.model_faults import read_faults
from training.models import WorkerHeartbeat

HEALTHY, DEGRADED, DOWN, UNKNOWN = "healthy", "degraded", "down", "unknown"


@dataclass(frozen=True, slots=True)
class Health:
    """The system's state and the reasons. `queue_depth` counts waiting bells; None when it cannot be read."""

    state: str  # healthy | degraded | down | unknown
    reasons: tuple[str, ...]
    worker: str  # up | down | unknown
    workers: int
    scheduler: str  # running | stopped | stalled | unknown
    ollama: str  # up | down | unknown
    queue_depth: int | None


def read_health(
    *,
    now: datetime,
    loop: LoopState | None = None,
    beats: Sequence[datetime] | None = None,
    queue_depth: int | None = None,
    suspects: Suspects | None = None,
) -> Health:
    """Health at `now` (aware UTC).

    A caller that has already read the loop's state, the heartbeats (newest first), the queue's depth or the suspects
    passes them in. With all four this makes no query, without them six.
    """
    if beats is None:
        workers = WorkerHeartbeat.objects.exclude(doing=DAEMON).order_by("-last_beat_at")
        beats = list(workers.values_list("last_beat_at", flat=True))
    return derive_health(
        loop=loop or read_loop(now=now),
        fresh_workers=sum(is_fresh(beat, now=now) for beat in beats),
        last_beat_at=beats[0] if beats else None,
        models=model_probe.read(suspects or name_suspects(routing=read_routing(), failed=read_faults())),
        queue_depth=_read_depth() if queue_depth is None else queue_depth,
        free_bytes=read_free_bytes(),
        now=now,
    )


def name_suspects(*, routing: Routing, failed: Iterable[str]) -> Suspects:
    """The tags that model servers should serve, and the servers that `failed` in a chat and did not recover since."""
    tags = filter(None, (routing.controller, routing.task))
    return Suspects({tag.name: tag.digest for tag in tags}, failed=frozenset(failed))


def derive_health(
    *,
    loop: LoopState,
    fresh_workers: int,
    last_beat_at: datetime | None,
    models: ModelHealth,
    queue_depth: int | None,
    now: datetime,
    free_bytes: int = SCARCE_BELOW,
) -> Health:
    """The rule, pure: the worst signal decides the state, and every bad signal adds its reason."""
    found: list[tuple[str, str]] = []
    if not fresh_workers:
        silence = f"for {_whole_minutes(now - last_beat_at)}" if last_beat_at and last_beat_at < now else "yet"
        waiting = f", and {queue_depth} bells are waiting" if queue_depth else ""
        found.append((DOWN, f"No worker has reported {silence}{waiting}."))
    if models.state == UNKNOWN:
        found.append((UNKNOWN, "Ollama has not been checked yet."))
    found += [(DOWN if models.state == DOWN else DEGRADED, reason) for reason in models.reasons]
    if full := find_disk_fault(free_bytes):
        found.append((DOWN, full))
    elif scarce := describe_scarcity(free_bytes):
        found.append((DEGRADED, scarce))
    if loop.state == "stalled":
        found.append((DEGRADED, loop.reason))
    elif loop.state == UNKNOWN:
        found.append((UNKNOWN, loop.reason))
    if queue_depth is None:
        found.append((UNKNOWN, "The queue's depth cannot be read."))
    state = next((worst for worst in (DOWN, DEGRADED, UNKNOWN) if worst in {level for level, _ in found}), HEALTHY)
    workers = "1 worker is running" if fresh_workers == 1 else f"{fresh_workers} workers are running"
    reasons = tuple(reason for _, reason in found) or (f"{workers} and Ollama answers.",)
    return Health(
        state=state,
        reasons=reasons,
        worker="up" if fresh_workers else "down",
        workers=fresh_workers,
        scheduler=loop.state,
        ollama=models.state,
        queue_depth=queue_depth,
    )


def _read_depth() -> int | None:
    try:
        return read_queue_depth()
    except DatabaseError:
        return None


def _whole_minutes(span: timedelta) -> str:
    minutes = max(1, int(span.total_seconds() // 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
