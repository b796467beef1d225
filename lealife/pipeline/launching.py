"""Launching: queues questions, claims what may run, and rings for a worker in the same transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from lealife.core.actors import Actor, requires
from lealife.core.clock import go_on_from
from lealife.pipeline.bell import has_wedged, ring
from lealife.pipeline.draining import is_draining
from promotion.routing import read_canary_split, read_routing
from training.claims import claim_next_source
from training.coordinator import read_loop
from training.heartbeats import read_last_beat
from training.models import Host, Run
from training.outcomes import read_breaker
from training.runs import claim_queued_run, queue_run


@requires("training.ask")
def ask(
    *,
    prompt: str,
    host: Host | str | None,
    check_spec: dict[str, Any] | None,
    pages_target: int | None,
    by: Actor,
    lane: str = Run.Lane.STANDARD,
) -> Run:
    """Queues a task outside of training and wakes a worker for it."""
    with transaction.atomic():
        run = queue_run(
            lane=lane, prompt=prompt, host=host, check_spec=check_spec, pages_target=pages_target, by=by.name
        )
        ring("execute")
    return run


def launch_training(now: datetime, *, while_enabled: bool = False) -> int:
    """Claims sources for all free training slots and returns how many; `while_enabled`: only if training is allowed.

    Claims none while the latest runs all broke, or while bells wait and no worker is active: then no worker would start
    the claimed runs, and their leases would lapse again and again.
    """
    launched, clock = 0, go_on_from(now)
    if has_wedged(last_beat_at=read_last_beat(now=now)):
        return launched
    while not is_draining() and _may_train(now):
        with transaction.atomic():
            if claim_next_source(now=clock(), canary=read_canary_split(), while_enabled=while_enabled) is None:
                return launched
            ring("execute")
        launched += 1
    return launched


def take_training(*, worker: str, now: datetime) -> Run | None:
    """Claims the next source for `worker`, which has just ended a run, so that it need not wait for the next tick.

    Its run has begun. None when nothing is eligible, or while the loop is not running.
    """
    if is_draining() or read_loop(now=now).state != "running" or not _may_train(now):
        return None
    claim = claim_next_source(now=now, canary=read_canary_split(), while_enabled=True, worker=worker)
    return claim.run if claim else None


def _may_train(now: datetime) -> bool:
    return read_routing().controller is not None and not read_breaker(now=now)


def launch_queued(now: datetime) -> int:
    """Gives queued standard and manual runs their slots."""
    launched, clock = 0, go_on_from(now)
    # Mostly none waits: then no lock is taken.
    while not is_draining() and Run.objects.queued().exists():
        with transaction.atomic():
            if claim_queued_run(now=clock()) is None:
                return launched
            ring("execute")
        launched += 1
    return launched
