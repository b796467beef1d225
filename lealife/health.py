"""Health: the one derivation of how the system is, shared by every page, the API and the probes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError

from lealife.bell import read_queue_depth
from lealife.lib.gateway import ModelUnavailable
from lealife.pool import get_pool
from training.coordinator import LoopState, read_loop
from training.heartbeats import DAEMON, is_fresh
from training.models import WorkerHeartbeat

PROBE_EVERY_S = 5.0
FIRST_ANSWER_WITHIN_S = 1.0
PROBE_STALE_S = 60.0

HEALTHY, DEGRADED, DOWN, UNKNOWN = "healthy", "degraded", "down", "unknown"


@dataclass(frozen=True, slots=True)
class Health:
    """How the system is, and why. `queue_depth` counts waiting bells; None when it cannot be read."""

    state: str  # healthy | degraded | down | unknown
    reasons: tuple[str, ...]
    worker: str  # up | down | unknown
    workers: int
    scheduler: str  # running | stopped | stalled | unknown
    ollama: str  # up | down | unknown
    queue_depth: int | None


class OllamaProbe:
    """Remembers whether Ollama answered, and asks again in the background.

    Only a reader who comes after a long silence waits for the answer, and no longer than a second.
    """

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._asking = False
        self._answer: bool | None = None
        self._answered_at = float("-inf")

    def read_state(self) -> str:
        """`up`, `down`, or `unknown` while nobody has asked for a minute; starts asking when that is due."""
        with self._lock:
            age = time.monotonic() - self._answered_at
            due = age > PROBE_EVERY_S and not self._asking
            if due:
                self._asking = True
            answer = self._answer if age <= PROBE_STALE_S else None
        if due:
            asking = threading.Thread(target=self._refresh, name="ollama-probe", daemon=True)
            asking.start()
            if answer is None:
                asking.join(timeout=FIRST_ANSWER_WITHIN_S)
                with self._lock:
                    answer = None if self._asking else self._answer
        return UNKNOWN if answer is None else "up" if answer else "down"

    def _refresh(self) -> None:
        answer = False
        try:
            answer = self._ask()
        finally:
            with self._lock:
                self._answer, self._answered_at, self._asking = answer, time.monotonic(), False


def is_ollama_up() -> bool:
    """Whether any model server answers now; takes as long as it takes."""
    try:
        return any(get_pool().is_up().values())
    except ModelUnavailable:
        return False


ollama_probe = OllamaProbe(is_ollama_up)


def read_health(
    *,
    now: datetime,
    loop: LoopState | None = None,
    beats: Sequence[datetime] | None = None,
    queue_depth: int | None = None,
) -> Health:
    """Health at `now` (aware UTC). Pass the loop's state, the heartbeats (newest first) and the queue's
    depth when they have been read.

    No query with all of them, four without.
    """
    if beats is None:
        workers = WorkerHeartbeat.objects.exclude(doing=DAEMON).order_by("-last_beat_at")
        beats = list(workers.values_list("last_beat_at", flat=True))
    return derive_health(
        loop=loop or read_loop(now=now),
        fresh_workers=sum(is_fresh(beat, now=now) for beat in beats),
        last_beat_at=beats[0] if beats else None,
        ollama=ollama_probe.read_state(),
        queue_depth=_read_depth() if queue_depth is None else queue_depth,
        now=now,
    )


def derive_health(
    *,
    loop: LoopState,
    fresh_workers: int,
    last_beat_at: datetime | None,
    ollama: str,
    queue_depth: int | None,
    now: datetime,
) -> Health:
    """The rule itself, pure: the worst signal decides, and every signal that is not well gives its reason."""
    found: list[tuple[str, str]] = []
    if not fresh_workers:
        silence = f"for {_whole_minutes(now - last_beat_at)}" if last_beat_at and last_beat_at < now else "yet"
        waiting = f", {queue_depth} bells wait" if queue_depth else ""
        found.append((DOWN, f"No worker has reported {silence}{waiting}."))
    if ollama == "down":
        found.append((DOWN, "Ollama does not answer: runs would end as model_unavailable."))
    elif ollama == UNKNOWN:
        found.append((UNKNOWN, "Ollama has not been asked yet."))
    if loop.state == "stalled":
        found.append((DEGRADED, loop.reason))
    elif loop.state == UNKNOWN:
        found.append((UNKNOWN, loop.reason))
    if queue_depth is None:
        found.append((UNKNOWN, "The queue's depth cannot be read."))
    state = next((worst for worst in (DOWN, DEGRADED, UNKNOWN) if worst in {level for level, _ in found}), HEALTHY)
    workers = "1 worker reports" if fresh_workers == 1 else f"{fresh_workers} workers report"
    reasons = tuple(reason for _, reason in found) or (f"{workers}, Ollama answers.",)
    return Health(
        state=state,
        reasons=reasons,
        worker="up" if fresh_workers else "down",
        workers=fresh_workers,
        scheduler=loop.state,
        ollama=ollama,
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
