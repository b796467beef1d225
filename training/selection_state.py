"""Lane state: what the lane rules decide on, read for a claim or for a preview of the next one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from training import selection
from training.counters import count_by_lane, read_kept, sum_counters
from training.models import Campaign, Host, Run, RuntimeSettings, TrainingSource
from training.models.sources import AGEING_S
from training.runtime_settings import read_settings
from training.slots import Slots, count_slots

# In SQL, because Django takes a sixth of a whole cycle to write this query. `id > 0` is always true, and what makes the
# index of the longest waiting source the one that is used.
_WAITS = """
    status = 'pending' AND kind = %(kind)s AND host_id = host.id AND (not_before IS NULL OR not_before <= %(now)s)
    AND (%(campaign)s::bigint IS NULL OR campaign_id = %(campaign)s::bigint) AND id <> ALL (%(skip)s::bigint[])
"""
_READ_HEADS = f"""
    SELECT host.id, coalesce(extract(epoch FROM host.last_served_at)::float8, 0), best.queue_rank,
        coalesce(longest.id, best.id),
        CASE WHEN longest.id IS NULL THEN best.campaign_id ELSE longest.campaign_id END
    FROM training_host AS host
    CROSS JOIN LATERAL (
        SELECT id, queue_rank, campaign_id FROM training_trainingsource
        WHERE {_WAITS} ORDER BY queue_rank, id LIMIT 1
    ) AS best
    LEFT JOIN LATERAL (
        SELECT id, campaign_id FROM training_trainingsource
        WHERE host.claims %% {selection.FAIR_EVERY} = {selection.FAIR_EVERY - 1} AND {_WAITS} AND id > 0
        ORDER BY created_at, id LIMIT 1
    ) AS longest ON true
    WHERE host.enabled
"""  # noqa: S608  constants of our own, and placeholders


@dataclass(frozen=True, slots=True)
class ClaimReads:
    """What a claim and the rules need besides the heads, of one moment: the settings, the slots, hosts with a running
    cycle, hosts served last (newest first, at least as many as the recent host window), and the number of outcomes.
    """

    row: RuntimeSettings
    slots: Slots
    busy_hosts: frozenset[int]
    recent_hosts: tuple[int, ...]
    outcomes: int


@dataclass(frozen=True, slots=True)
class LaneState:
    """What the lane rules decide on, as it is now."""

    heads: list[selection.Waiting]
    rules: selection.LaneRules
    busy_hosts: frozenset[int]
    locked_host: str | None

    def choose(self) -> selection.Waiting | None:
        return selection.choose_source(self.heads, rules=self.rules, busy_hosts=self.busy_hosts)


def read_for_claim() -> ClaimReads:
    """The reads as they are now. A claim takes them under the slot lock. Four queries."""
    row, kept = read_settings(), read_kept()
    busy = Run.objects.open().filter(lane__in=Run.CYCLE_LANES).order_by().values_list("host_id", flat=True)
    served = Host.objects.filter(last_served_at__isnull=False).order_by("-last_served_at").values_list("id", flat=True)
    return ClaimReads(
        row=row,
        slots=count_slots(row=row, by_lane=count_by_lane(kept)),
        busy_hosts=frozenset(busy),
        recent_hosts=tuple(served[: row.recent_host_window]),
        outcomes=sum_counters(kept)["outcomes.total"],
    )


def read_lane_state(reads: ClaimReads, /, *, now: datetime, skip: Collection[int] = ()) -> LaneState:
    """The heads of the queue that is served now and the rules, `skip` (source ids) passed over."""
    row = reads.row
    locked = read_locked_campaign() if row.campaign_lock else None
    rules = selection.LaneRules(
        mode=row.source_lane_mode,
        curriculum_fallback=row.curriculum_fallback,
        recent_hosts=reads.recent_hosts[: row.recent_host_window],
        locked_campaign_id=locked.pk if locked else None,
        # Claims so far: those that have left their outcome, and one running on each busy host.
        turn=reads.outcomes + len(reads.busy_hosts),
    )
    heads: list[selection.Waiting] = []
    if rules.mode != selection.AUTOMATIC_ONLY:
        heads = read_heads(kind=selection.QUEUE, now=now, campaign_id=rules.locked_campaign_id, skip=skip)
    # The curriculum's turn never comes while the queue holds anything.
    if not heads:
        heads = read_heads(kind=selection.CURRICULUM, now=now, skip=skip)
    return LaneState(heads, rules, reads.busy_hosts, locked.host.name if locked else None)


def read_heads(
    *, kind: str, now: datetime, campaign_id: int | None = None, skip: Collection[int] = ()
) -> list[selection.Waiting]:
    """The head of each enabled host's queue of one kind (of one campaign, when it is given). One query.

    The best source decides when a host's turn comes; in every tenth claim of a host the one that has waited longest
    is served in its place.
    """
    values: dict[str, Any] = {"kind": kind, "now": now, "campaign": campaign_id, "skip": list(skip)}
    with connection.cursor() as cursor:
        cursor.execute(_READ_HEADS, values)
        rows = cursor.fetchall()
    now_s = now.timestamp()
    return [
        selection.Waiting(
            source_id=source_id,
            kind=kind,
            host_id=host_id,
            level=int((now_s - rank) // AGEING_S),
            rank=rank,
            campaign_id=campaign,
            host_served_s=served_s,
        )
        for host_id, served_s, rank, source_id, campaign in rows
    ]


def read_locked_campaign() -> Campaign | None:
    """The campaign that has started and not drained; under the campaign lock only it may run.

    A campaign with a run in flight holds the lock, cancelled or not. Otherwise a campaign whose host is archived does
    not hold it, because it could never drain.
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
