"""Launching: queues a question, claims what may run, and rings for it in the same transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from lealife.bell import ring
from lealife.draining import is_draining
from promotion.routing import read_canary_split, read_routing
from training.claims import claim_next_source
from training.models import Host, Run
from training.outcomes import read_breaker
from training.runs import claim_queued_run, queue_run


def ask(
    *,
    prompt: str,
    host: Host | str | None,
    check_spec: dict[str, Any] | None,
    pages_target: int | None,
    by: str,
    lane: str = Run.Lane.STANDARD,
) -> Run:
    """Queues a task outside of training and wakes a worker for it."""
    with transaction.atomic():
        run = queue_run(lane=lane, prompt=prompt, host=host, check_spec=check_spec, pages_target=pages_target, by=by)
        ring("execute")
    return run


def launch_training(now: datetime) -> int:
    """Claims sources while there are free training slots and runs do not all break."""
    if read_routing().controller is None or read_breaker(now=now):
        return 0
    split = read_canary_split()
    launched = 0
    while not is_draining():
        with transaction.atomic():
            if claim_next_source(now=now, canary=split) is None:
                return launched
            ring("execute")
        launched += 1
    return launched


def launch_queued(now: datetime) -> int:
    """Gives queued standard and manual runs their slots."""
    launched = 0
    while not is_draining():
        with transaction.atomic():
            if claim_queued_run(now=now) is None:
                return launched
            ring("execute")
        launched += 1
    return launched
