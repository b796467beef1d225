"""Lanes: which source is next. Pure rules over plain values; the claim and the preview both ask here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

QUEUE, CURRICULUM = "queue", "curriculum"
HYBRID, QUEUED_ONLY, AUTOMATIC_ONLY = "hybrid", "queued_only", "automatic_only"
QUEUE_PENDING, CURRICULUM_FALLBACK, NONE = "queue_pending", "curriculum_fallback", "none"

# Every tenth pick goes by turn alone, and every tenth source of a host is the one that has waited longest on it:
# a flood of high priority takes nine tenths at most, and the lowest waits ten times its fair share at most.
FAIR_EVERY = 10

LANE_SENTENCES = {
    HYBRID: "Hybrid consumes queued sources first, then curriculum when fallback is enabled.",
    QUEUED_ONLY: "Queued Only blocks curriculum.",
    AUTOMATIC_ONLY: "Automatic Only ignores queued prompts and runs curriculum lane only.",
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """The head of the queue of one kind on one host (and, under the campaign lock, of one campaign).

    `level` is the priority raised by age; `rank` orders sources of one level, lowest first; `host_served_s` says
    when the host was served last, in seconds since the epoch, 0 for never.
    """

    source_id: int
    kind: str
    host_id: int
    level: int
    rank: float
    campaign_id: int | None = None
    host_served_s: float = 0.0

    @property
    def selection_mode(self) -> str:
        """Which rule chooses it, when it is next."""
        return QUEUE_PENDING if self.kind == QUEUE else CURRICULUM_FALLBACK


@dataclass(frozen=True, slots=True)
class LaneRules:
    """The settings that decide, and `turn`: how many training runs have been claimed before."""

    mode: str
    curriculum_fallback: bool
    recent_hosts: tuple[int, ...] = ()
    locked_campaign_id: int | None = None
    turn: int = 0

    @property
    def is_fair_turn(self) -> bool:
        """Whether this pick goes by turn, whatever the priorities."""
        return self.turn % FAIR_EVERY == FAIR_EVERY - 1


def choose_source(
    heads: Sequence[Waiting], *, rules: LaneRules, busy_hosts: frozenset[int] = frozenset()
) -> Waiting | None:
    """The next source: operator queue before curriculum as the lane mode says, hosts in turn.

    A host with a running training run is never chosen (same-host cap 1). Under the campaign lock only the
    locked campaign is, until it has drained; Automatic Only ignores the queue and with it the lock.
    """
    kind = _choose_lane(heads, rules=rules)
    free = [head for head in heads if head.kind == kind and head.host_id not in busy_hosts]
    if kind == QUEUE and rules.locked_campaign_id is not None:
        free = [head for head in free if head.campaign_id == rules.locked_campaign_id]
    if not free:
        return None
    # Recently served hosts are avoided while others wait, and only then.
    fresh = [head for head in free if head.host_id not in rules.recent_hosts]
    return min(fresh or free, key=_by_turn if rules.is_fair_turn else _by_level)


def _choose_lane(heads: Sequence[Waiting], *, rules: LaneRules) -> str | None:
    # While the queue holds anything the curriculum waits, even if every queued host is busy just now.
    if rules.mode != AUTOMATIC_ONLY and any(head.kind == QUEUE for head in heads):
        return QUEUE
    fallback = rules.mode == HYBRID and rules.curriculum_fallback and rules.locked_campaign_id is None
    return CURRICULUM if rules.mode == AUTOMATIC_ONLY or fallback else None


def _by_level(head: Waiting) -> tuple[int, float, float, int]:
    return (-head.level, head.host_served_s, head.rank, head.source_id)


def _by_turn(head: Waiting) -> tuple[float, float, int]:
    return (head.host_served_s, head.rank, head.source_id)


def host_policy_sentence(*, campaign_lock: bool) -> str:
    """The derived host selection policy, as the page names it."""
    return "Strict single-host lock" if campaign_lock else "Host-diverse concurrent mode"
