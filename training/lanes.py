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


@dataclass(frozen=True, slots=True)
class LaneRules:
    """The settings that decide, and `turn`: how many training runs have been claimed before."""

    mode: str
    curriculum_fallback: bool
    campaign_lock: bool
    recent_hosts: tuple[int, ...] = ()
    recent_window: int = 0
    locked_campaign_id: int | None = None
    turn: int = 0

    @property
    def is_fair_turn(self) -> bool:
        """Whether this pick goes by turn, whatever the priorities."""
        return self.turn % FAIR_EVERY == FAIR_EVERY - 1


@dataclass(frozen=True, slots=True)
class Choice:
    """What is next, or nothing, and which rule chose."""

    waiting: Waiting | None
    selection_mode: str


def choose_source(heads: Sequence[Waiting], *, rules: LaneRules, busy_hosts: frozenset[int]) -> Choice:
    """The next source: operator queue before curriculum as the lane mode says, hosts in turn.

    A host with a running training run is never chosen (same-host cap 1). Under the campaign lock only the
    locked campaign is, until it has drained; Automatic Only ignores the queue and with it the lock.
    """
    queued = [] if rules.mode == AUTOMATIC_ONLY else [head for head in heads if head.kind == QUEUE]
    if queued:
        if rules.campaign_lock and rules.locked_campaign_id is not None:
            queued = [head for head in queued if head.campaign_id == rules.locked_campaign_id]
        found = _first(queued, rules=rules, busy_hosts=busy_hosts)
        # While the queue holds anything the curriculum waits, even if every queued host is busy just now.
        return Choice(found, QUEUE_PENDING if found else NONE)
    fallback = rules.mode == HYBRID and rules.curriculum_fallback and rules.locked_campaign_id is None
    if rules.mode == AUTOMATIC_ONLY or fallback:
        found = _first([head for head in heads if head.kind == CURRICULUM], rules=rules, busy_hosts=busy_hosts)
        return Choice(found, CURRICULUM_FALLBACK if found else NONE)
    return Choice(None, NONE)


def _first(heads: Sequence[Waiting], *, rules: LaneRules, busy_hosts: frozenset[int]) -> Waiting | None:
    free = [head for head in heads if head.host_id not in busy_hosts]
    # Recently served hosts are avoided while others wait, and only then.
    recent = frozenset(rules.recent_hosts)
    fresh = [head for head in free if head.host_id not in recent]
    return min(fresh or free, key=_by_turn if rules.is_fair_turn else _by_level, default=None)


def _by_level(head: Waiting) -> tuple[int, float, float, int]:
    return (-head.level, *_by_turn(head))


def _by_turn(head: Waiting) -> tuple[float, float, int]:
    return (head.host_served_s, head.rank, head.source_id)


def host_policy_sentence(*, campaign_lock: bool) -> str:
    """The derived host selection policy, as the page names it."""
    return "Strict single-host lock" if campaign_lock else "Host-diverse concurrent mode"
