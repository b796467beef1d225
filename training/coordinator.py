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

from lealife.core.actors import Actor, requires
from lealife.core.announce import Listener, announce
from lealife.core.errors import describe_breakage
from training.audit import record_audit
from training.models import Coordinator, Host, TrainingSource
from training.outcomes import RETRY_AFTER, read_breaker
from training.runtime_settings import read_settings

LEASE = timedelta(seconds=settings.LEALIFE_COORDINATOR_LEASE_S)
# A lease or tick further ahead than this was written before the clock moved back. It is ignored.
LEASE_MOST = 2 * LEASE
# Announcements that may let a run start, or must stop one: everything else can wait for the tick.
WAKES = frozenset({"sources", "settings", "coordinator", "outcomes"})


@dataclass(frozen=True, slots=True)
class StopReversal:
    """A Stop that a daemon reversed; it is the last thing that was done to the switch."""

    daemon: str
    started_at: datetime
    stopped_by: str
    stopped_at: datetime
    sentence: str


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
    reversal: StopReversal | None = None


def read_coordinator() -> Coordinator:
    """The row; made when it is missing."""
    return Coordinator.objects.first() or Coordinator.objects.get_or_create(id=1)[0]


@requires("training.start_training")
def start_training(*, by: Actor, origin: str) -> Coordinator:
    """Allows training. Picks begin at the next tick of the process that holds the lease."""
    _set_enabled(True, by=by.name, origin=origin)
    return read_coordinator()


@requires("training.stop_training")
def stop_training(*, by: Actor, origin: str) -> Coordinator:
    """Ends picks, never runs: runs in flight continue to their end."""
    _set_enabled(False, by=by.name, origin=origin)
    return read_coordinator()


def reverse_stop(*, daemon: str, origin: str) -> bool:
    """Allows training again because the command line of a `daemon` says so; False when it was allowed already.

    The Stop that it reversed, if there was one, is kept until someone starts or stops training, and in the audit log
    for ever.
    """
    return _set_enabled(True, by=daemon, origin=origin, reverses=True)


def _set_enabled(enabled: bool, *, by: str, origin: str, reverses: bool = False) -> bool:
    read_coordinator()
    with transaction.atomic():
        row = Coordinator.objects.select_for_update().get(id=1)
        if row.enabled == enabled:
            return False
        stop = reverses and row.enabled_changed_at
        row.reversed_stop_at = row.enabled_changed_at if stop else None
        row.reversed_stop_by = row.enabled_changed_by if stop else ""
        row.enabled, row.enabled_changed_at, row.enabled_changed_by = enabled, timezone.now(), _sign(by, origin)
        row.save(
            update_fields=[
                "enabled",
                "enabled_changed_at",
                "enabled_changed_by",
                "reversed_stop_at",
                "reversed_stop_by",
            ]
        )
        reversal = find_reversal(row)
        record_audit(
            actor=by,
            origin=origin,
            action="start training" if enabled else "stop training",
            details={"reverses": reversal.sentence} if reversal else None,
        )
        announce("coordinator")
    return True


def _sign(by: str, origin: str) -> str:
    return f"{by[:100]} ({origin[:40]})"


def find_reversal(row: Coordinator) -> StopReversal | None:
    """The Stop that a daemon reversed, when that is how training came to be allowed; pure."""
    if not row.enabled or row.reversed_stop_at is None or row.enabled_changed_at is None:
        return None
    daemon = row.enabled_changed_by.rpartition(" (")[0]
    return StopReversal(
        daemon=daemon,
        started_at=row.enabled_changed_at,
        stopped_by=row.reversed_stop_by,
        stopped_at=row.reversed_stop_at,
        sentence=f"{daemon} started the loop again after a Stop by {row.reversed_stop_by} "
        f"at {row.reversed_stop_at:%Y-%m-%d %H:%M:%S} UTC.",
    )


def read_loop(*, now: datetime) -> LoopState:
    """Running means: enabled, and somebody holds a fresh lease and has ticked within it."""
    return derive_loop(row=read_coordinator(), breaker=read_breaker(now=now), now=now)


def derive_loop(*, row: Coordinator, breaker: str, now: datetime) -> LoopState:
    """The rule of `read_loop`, pure; `breaker` says why picking pauses, empty when it does not."""
    leased = row.lease_until is not None and now < row.lease_until <= now + LEASE_MOST
    # Between two holders there is a moment without a leader; that is no stall.
    fresh = leased or (row.last_tick_at is not None and now - LEASE < row.last_tick_at <= now + LEASE_MOST)
    if not row.enabled:
        state, reason = "stopped", "Training is not allowed, so no new runs start. Runs in flight continue."
    elif fresh:
        state, reason = "running", breaker or f"{row.holder} is ticking and launching runs."
    elif row.last_tick_at is None:
        state, reason = "unknown", "Training is allowed, but no coordinator has ticked yet."
    else:
        state, reason = "stalled", f"Training is allowed, but {_say_silence(now - row.last_tick_at)}."
        if row.last_error:
            reason = f"{reason} The last tick broke: {row.last_error}"
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
        reversal=find_reversal(row),
    )


def _say_silence(silent: timedelta) -> str:
    if silent < timedelta(0):
        return "the last tick is in the future (a clock moved back), and none has followed"
    return f"there has been no tick for {int(silent.total_seconds())} s"


def take_lease(*, holder: str, now: datetime) -> int | None:
    """The new fence when `holder` leads now; None while another holder's lease is fresh.

    A lease too far ahead was taken before the clock moved back: it counts as lapsed. If its holder still lives, it
    loses the lease to the next process that asks; its fence refuses its tick, as after any lapse.
    """
    read_coordinator()
    lapsed = Q(lease_until__lt=now) | Q(lease_until__gt=now + LEASE_MOST)
    free = Q(lease_until=None) | lapsed | Q(holder=holder)
    taken = Coordinator.objects.filter(free, id=1).update(holder=holder, fence=F("fence") + 1, lease_until=now + LEASE)
    return Coordinator.objects.values_list("fence", flat=True).get(id=1) if taken else None


def record_tick(*, fence: int, now: datetime, launched: int) -> bool:
    """Renews the lease and says when the loop ticked; False when another holder has taken over."""
    launch = {"last_launch_at": now} if launched else {}
    renewed = Coordinator.objects.filter(id=1, fence=fence).update(
        lease_until=now + LEASE, last_tick_at=now, last_error="", **launch
    )
    if launched:
        announce("coordinator")
    return bool(renewed)


def record_broken_tick(*, fence: int, error: Exception) -> None:
    """Keeps why a tick failed, so that pages can say why the loop has stalled. The next good tick clears it."""
    Coordinator.objects.filter(id=1, fence=fence).update(last_error=describe_breakage(error))


def release_lease(*, fence: int) -> None:
    """Lets the next holder take over at once."""
    Coordinator.objects.filter(id=1, fence=fence).update(lease_until=None)


def forget_future(*, now: datetime) -> None:
    """After a clock was put back: a source does not rest until what the clock said before, nor is a host taken for
    one that was served just now until then.
    """
    TrainingSource.objects.pending().filter(not_before__gt=now + max(RETRY_AFTER.values())).update(not_before=None)
    Host.objects.filter(last_served_at__gt=now).update(last_served_at=now)
    announce("sources")


def run_loop(
    *,
    holder: str,
    hold_s: float | None,
    tick: Callable[[datetime], int],
    should_stop: Callable[[], bool],
) -> bool:
    """Ticks while `holder` leads: every loop interval, and at once when something is announced.

    `tick` returns how many runs it launched. Ends after `hold_s` seconds (None: never), when `should_stop`, or
    when the lease is lost; True when it led at all. A tick that breaks is recorded and ends it: another host, on
    which it does not break, may take over at once.
    """
    fence = take_lease(holder=holder, now=timezone.now())
    if fence is None:
        return False
    ends = None if hold_s is None else time.monotonic() + hold_s
    ticked_at = read_coordinator().last_tick_at
    listener = Listener()
    try:
        while not should_stop() and (ends is None or time.monotonic() < ends):
            now = timezone.now()
            if ticked_at is not None and ticked_at - now > LEASE:
                forget_future(now=now)
            ticked_at = now
            try:
                launched = tick(now)
            except Exception as error:
                record_broken_tick(fence=fence, error=error)
                raise
            if not record_tick(fence=fence, now=timezone.now(), launched=launched):
                return True
            # Never sleep past half a lease, whatever the interval: a silent holder loses it.
            interval = min(read_settings().loop_interval_s, LEASE.total_seconds() / 2)
            listener.wait(timeout_s=interval, wanted=WAKES)
    finally:
        listener.close()
        release_lease(fence=fence)
    return True
