"""Lane state: what the lane rules decide on, read for a claim or for a preview of the next one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from lealife.core.statements import Row, run_statement
from training import selection
from training.counters import READ_ALL, count_by_lane, sum_counters
from training.models import Campaign, RuntimeSettings, TrainingSource
from training.models.sources import AGEING_S
from training.runtime_settings import read_settings
from training.slots import SLOT_LOCK, Slots, count_slots

# The settings that a claim looks at.
_SETTINGS = (
    "id",
    "training_max_active_runs",
    "recent_host_window",
    "default_pages_target",
    "curriculum_fallback",
    "source_lane_mode",
    "campaign_lock",
    "global_max_concurrent_runs",
    "reserved_control_slots",
    "controller_max_calls",
)
_RECENT = "SELECT id FROM training_host WHERE last_served_at IS NOT NULL ORDER BY last_served_at DESC"
_READS = f"""
    SELECT
        (SELECT json_object_agg(name, total) FROM ({READ_ALL}) AS counters),
        ARRAY(SELECT host_id FROM training_run
            WHERE lane IN ('training', 'canary') AND status IN ('claimed', 'running')),
        ARRAY({_RECENT} LIMIT settings.recent_host_window),
        coalesce((SELECT enabled FROM training_coordinator WHERE id = 1), false),
        {", ".join(f"settings.{name}" for name in _SETTINGS)}
    FROM training_runtimesettings AS settings WHERE settings.id = 1
"""  # noqa: S608  constants of our own

# Migration 0008 tells how.
_LOCK = f"""
    SELECT counted, busy, recent, allowed, heads, {", ".join(f"(settings).{name}" for name in _SETTINGS)}
    FROM training_lock_for_claim(
        {SLOT_LOCK}, %(now)s::timestamptz, %(wanted)s::int, {AGEING_S}, {selection.FAIR_EVERY}
    )
"""  # noqa: S608  constants of our own, and placeholders
# Migration 0013 tells how.
_HEADS = f"""
    SELECT source, host, rank, campaign, served_s, level FROM training_read_heads(
        %(kind)s::text, %(now)s::timestamptz, %(campaign)s::bigint, %(skip)s::bigint[],
        {AGEING_S}, {selection.FAIR_EVERY}
    )
"""  # noqa: S608  constants of our own, and placeholders


class NoSettings(Exception):
    """The row of settings has yet to be written."""


@dataclass(frozen=True, slots=True)
class LaneReads:
    """What the rules need besides the heads: hosts with a running cycle, hosts served last (newest first, at
    least as many as the recent host window), and how many outcomes there are.
    """

    busy_hosts: frozenset[int]
    recent_hosts: tuple[int, ...]
    outcomes: int


@dataclass(frozen=True, slots=True)
class ClaimReads:
    """The settings that a claim looks at, slots and lane reads, all from one moment.

    `queue` are the heads of the operators' queue, when they have been read already.
    """

    row: RuntimeSettings
    slots: Slots
    lanes: LaneReads
    queue: list[selection.Waiting] | None = None
    enabled: bool = False  # whether training is allowed


@dataclass(frozen=True, slots=True)
class LaneState:
    """What the lane rules decide on, as it is now."""

    heads: list[selection.Waiting]
    rules: selection.LaneRules
    busy_hosts: frozenset[int]
    locked_host: str | None

    def choose(self) -> selection.Selection:
        """What the rules choose."""
        return selection.choose_source(self.heads, rules=self.rules, busy_hosts=self.busy_hosts)

    def choose_many(self, limit: int) -> Iterator[selection.Selection]:
        """What the rules choose one after the other, at most `limit`, each as if those before ran already."""
        return islice(selection.choose_sources(self.heads, rules=self.rules, busy_hosts=self.busy_hosts), limit)


def lock_for_claim(*, now: datetime, wanted: int) -> ClaimReads:
    """Holds the slot lock until the transaction ends, and reads what a claim of `wanted` decides on. One round trip.

    Of the heads of the operators' queue no more than decide; none when no host of theirs is free. Raises
    NoSettings.
    """
    [(counted, busy, recent, enabled, heads, *values)] = run_statement(_LOCK, {"now": now, "wanted": wanted})
    if values[0] is None:
        raise NoSettings
    queue = _load_heads(heads, kind=selection.QUEUE) if heads else None
    return _load_reads([(counted, busy, recent, enabled, *values)], queue=queue)


def read_for_preview() -> ClaimReads:
    """The same reads without the lock and the heads. One query."""
    return _load_reads(run_statement(_READS))


def read_lane_state(reads: ClaimReads, /, *, now: datetime, skip: list[int] | None = None) -> LaneState:
    """The heads of the queue that is served now and the rules, `skip` (source ids) passed over."""
    row = reads.row
    locked = read_locked_campaign() if row.campaign_lock else None
    rules = selection.LaneRules(
        mode=row.source_lane_mode,
        curriculum_fallback=row.curriculum_fallback,
        campaign_lock=row.campaign_lock,
        recent_hosts=reads.lanes.recent_hosts[: row.recent_host_window],
        recent_window=row.recent_host_window,
        locked_campaign_id=locked.pk if locked else None,
        # Claims so far: those that have left their outcome, and one running on each busy host.
        turn=reads.lanes.outcomes + len(reads.lanes.busy_hosts),
    )
    heads: list[selection.Waiting] = []
    if rules.mode != selection.AUTOMATIC_ONLY:
        known = reads.queue if not skip and locked is None else None
        wanted = {"campaign_id": rules.locked_campaign_id, "skip": skip or []}
        heads = known if known is not None else read_heads(kind=selection.QUEUE, now=now, **wanted)
    # The curriculum's turn never comes while the queue holds anything.
    if not heads:
        heads = read_heads(kind=selection.CURRICULUM, now=now, skip=skip or [])
    return LaneState(heads, rules, reads.lanes.busy_hosts, locked.host.name if locked else None)


def read_heads(
    *, kind: str, now: datetime, campaign_id: int | None = None, skip: list[int] | None = None
) -> list[selection.Waiting]:
    """The head of each enabled host's queue of one kind (of one campaign, when it is given). One query."""
    values = {"kind": kind, "now": now, "campaign": campaign_id, "skip": skip or []}
    return _load_heads(run_statement(_HEADS, values), kind=kind)


def _load_heads(rows: Iterable[Sequence[Any]], *, kind: str) -> list[selection.Waiting]:
    return [
        selection.Waiting(source_id, kind, host_id, level, rank, campaign, served_s)
        for source_id, host_id, rank, campaign, served_s, level in rows
    ]


def _load_reads(rows: list[Row], *, queue: list[selection.Waiting] | None = None) -> ClaimReads:
    if not rows:
        read_settings()
        rows = run_statement(_READS)
    counted, busy, recent, enabled, *values = rows[0]
    row = RuntimeSettings.from_db("default", _SETTINGS, values)
    counts = counted or {}
    return ClaimReads(
        row=row,
        slots=count_slots(row=row, by_lane=count_by_lane(counts)),
        lanes=LaneReads(frozenset(busy), tuple(recent), sum_counters(counts)["outcomes.total"]),
        queue=queue,
        enabled=enabled,
    )


def read_locked_campaign() -> Campaign | None:
    """The campaign that has started and not drained; under the campaign lock only it may run.

    One whose run is in flight holds the lock, cancelled or not. A campaign whose host is disabled locks nobody out
    otherwise: it could never drain.
    """
    claimed = TrainingSource.objects.filter(campaign__isnull=False, status=TrainingSource.Status.CLAIMED)
    started = TrainingSource.objects.filter(
        campaign__isnull=False, claimed_at__isnull=False, campaign__cancelled_at=None, host__enabled=True
    )
    waiting = TrainingSource.objects.filter(
        campaign__isnull=False,
        status__in=[TrainingSource.Status.PENDING, TrainingSource.Status.CLAIMED],
        campaign_id__in=started.values("campaign_id"),
    )
    campaigns = (found.order_by("campaign_id").values_list("campaign_id", flat=True) for found in (claimed, waiting))
    first = next((pk for pks in campaigns if (pk := pks.first()) is not None), None)
    return Campaign.objects.select_related("host").get(pk=first) if first else None
