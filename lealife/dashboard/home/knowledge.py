"""What is known and how fast it grows: coverage of hosts, memory by kind, measured uplift, throughput."""

from __future__ import annotations

from dataclasses import dataclass

from lealife.dashboard.ask.hosts import HostFacts, read_host_facts
from lealife.dashboard.facts import Facts
from learning.models import MemoryItem
from learning.uplift import Standing, Uplift

HOSTS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class KindCount:
    """Memory items of one kind: trusted ones are recalled, quarantined ones wait to be confirmed."""

    kind: str
    trusted: int
    quarantined: int
    retired: int


@dataclass(frozen=True, slots=True)
class KnowledgePanel:
    """`*_30m`: sources consumed and outcomes ingested in the last half hour; `queue_depth`: waiting bells."""

    hosts: tuple[HostFacts, ...]
    hosts_more: int
    kinds: tuple[KindCount, ...]
    uplift: Uplift
    consumed_30m: int
    ingested_30m: int
    queue_depth: int


def build_knowledge_panel(facts: Facts, *, standing: Standing) -> KnowledgePanel:
    """The panel from what was read before, and from the hosts: one query, at a bounded cost."""
    hosts = read_host_facts()
    return KnowledgePanel(
        hosts=hosts[:HOSTS_SHOWN],
        hosts_more=max(0, len(hosts) - HOSTS_SHOWN),
        kinds=tuple(count_kind(kind, standing.counts) for kind in MemoryItem.Kind.values),
        uplift=standing.uplift,
        consumed_30m=facts.consumed_30m,
        ingested_30m=facts.ingested_30m,
        queue_depth=facts.queue_depth,
    )


def count_kind(kind: str, memory: dict[str, int]) -> KindCount:
    """One kind's line; pure."""
    trusted, quarantined, retired = (
        memory.get(f"{kind}/{status}", 0)
        for status in (MemoryItem.Status.TRUSTED, MemoryItem.Status.QUARANTINED, MemoryItem.Status.RETIRED)
    )
    return KindCount(kind, trusted, quarantined, retired)
