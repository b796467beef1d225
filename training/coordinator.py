"""The coordinator: who may run the loop, whether training is allowed, and whether it truly ticks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from lealife.lib.announce import Listener, announce
from training.audit import record_audit
from training.models import Coordinator
from training.outcomes import read_breaker
from training.runtime_settings import read_settings

LEASE = timedelta(seconds=settings.LEALIFE_COORDINATOR_LEASE_S)
# Announcements that may let a run start, or must stop one: everything else can wait for the tick.
WAKES = frozenset({"sources", "settings", "coordinator", "outcomes"})


@dataclass(frozen=True, slots=True)
class LoopState:
    """The loop as the database knows it: enabled and running are two things."""

    enabled: bool
    state: str
    reason: str
    holder: str
    lease_until: datetime | None
    last_tick_at: datetime | None
    last_launch_at: datetime | None
    enabled_changed_at: datetime | None
    enabled_changed_by: str


def read_coordinator() -> Coordinator:
    """The row; made when it is missing."""
    return Coordinator.objects.first() or Coordinator.objects.get_or_create(id=1)[0]


def start_training(*, by: str, origin: str) -> Coordinator:
    """Allows training. Picks begin at the next tick of whoever holds the lease."""
    return _set_enabled(True, by=by, origin=origin)


def stop_training(*, by: str, origin: str) -> Coordinator:
    """Ends picks, never runs: what is in flight goes on to its end."""
    return _set_enabled(False, by=by, origin=origin)


def _set_enabled(enabled: bool, *, by: str, origin: str) -> Coordinator:
    read_coordinator()
    with transaction.atomic():
        changed = (
            Coordinator.objects.filter(id=1)
            .exclude(enabled=enabled)
            .update(enabled=enabled, enabled_changed_at=timezone.now(), enabled_changed_by=f"{by} ({origin})")
        )
        if changed:
            record_audit(actor=by, origin=origin, action="start training" if enabled else "stop training")
            announce("coordinator")
    return read_coordinator()


def read_loop(*, now: datetime) -> LoopState:
    """Running means: enabled, and somebody holds a fresh lease and has ticked within it."""
    return derive_loop(row=read_coordinator(), breaker=read_breaker(now=now), now=now)


def derive_loop(*, row: Coordinator, breaker: str, now: datetime) -> LoopState:
    """The rule of `read_loop`, pure; `breaker` says why picking pauses, empty when it does not."""
    leased = row.lease_until is not None and row.lease_until > now
    # Between two holders nobody leads for a moment; that is no stall.
    fresh = leased or (row.last_tick_at is not None and row.last_tick_at > now - LEASE)
    if not row.enabled:
        state, reason = "stopped", "Training is not allowed: nothing new is picked, runs in flight go on."
    elif fresh:
        state, reason = "running", breaker or f"{row.holder} ticks and launches runs."
    elif row.last_tick_at is None:
        state, reason = "unknown", "Training is allowed, but no coordinator has ticked yet."
    else:
        silent = int((now - row.last_tick_at).total_seconds())
        state, reason = "stalled", f"Training is allowed, but nobody has ticked for {silent} s."
    return LoopState(
        enabled=row.enabled,
        state=state,
        reason=reason,
        holder=row.holder if leased else "",
        lease_until=row.lease_until,
        last_tick_at=row.last_tick_at,
        last_launch_at=row.last_launch_at,
        enabled_changed_at=row.enabled_changed_at,
        enabled_changed_by=row.enabled_changed_by,
    )


def take_lease(*, holder: str, now: datetime) -> int | None:
    """The new fence when `holder` leads now; None while somebody else's lease is fresh."""
    read_coordinator()
    free = Q(lease_until=None) | Q(lease_until__lt=now) | Q(holder=holder)
    taken = Coordinator.objects.filter(free, id=1).update(holder=holder, fence=F("fence") + 1, lease_until=now + LEASE)
    return Coordinator.objects.values_list("fence", flat=True).get(id=1) if taken else None


def record_tick(*, fence: int, now: datetime, launched: int, error: str = "") -> bool:
    """Renews the lease and says when the loop ticked; False when another holder has taken over."""
    launch = {"last_launch_at": now} if launched else {}
    renewed = Coordinator.objects.filter(id=1, fence=fence).update(
        lease_until=now + LEASE, last_tick_at=now, last_error=error, **launch
    )
    if launched:
        announce("coordinator")
    return bool(renewed)


def release_lease(*, fence: int) -> None:
    """Lets the next holder take over at once."""
    Coordinator.objects.filter(id=1, fence=fence).update(lease_until=None)


def run_loop(
    *,
    holder: str,
    hold_s: float | None,
    tick: Callable[[datetime], int],
    should_stop: Callable[[], bool],
) -> bool:
    """Ticks while `holder` leads: every loop interval, and at once when something is announced.

    `tick` returns how many runs it launched. Ends after `hold_s` seconds (None: never), when `should_stop`, or
    when the lease is lost; True when it led at all.
    """
    fence = take_lease(holder=holder, now=timezone.now())
    if fence is None:
        return False
    ends = None if hold_s is None else time.monotonic() + hold_s
    listener = Listener()
    try:
        while not should_stop() and (ends is None or time.monotonic() < ends):
            launched = tick(timezone.now())
            if not record_tick(fence=fence, now=timezone.now(), launched=launched):
                return True
            # Never sleep past half a lease, whatever the interval: a silent holder loses it.
            interval = min(read_settings().loop_interval_s, LEASE.total_seconds() / 2)
            listener.wait(timeout_s=interval, wanted=WAKES)
    finally:
        listener.close()
        release_lease(fence=fence)
    return True
