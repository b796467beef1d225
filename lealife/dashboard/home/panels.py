"""The dashboard's home: the system's state, what it achieved, and whether it gets better."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lealife.dashboard.ask.hosts import HostFacts, read_host_facts
from lealife.dashboard.facts import Facts
from lealife.dashboard.home.trend import TrendPanel, build_trend_panel
from lealife.dashboard.home.worth import WorthPanel, build_worth_panel
from lealife.dashboard.readings import Vitals, take_vitals
from lealife.dashboard.runs.listing import RunRow, read_recent_runs
from lealife.dashboard.training.headline import HeadlinePanel, StatePanel, build_headline_panel, build_state_panel
from learning.models import MemoryItem
from learning.uplift import Standing, Uplift, read_standing
from promotion.candidates.windows import WindowProgress

HOSTS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class CountersPanel:
    """What was achieved so far. `memory_*` count items by status."""

    outcomes_total: int
    outcomes_success: int
    outcomes_failure: int
    ingested_total: int
    backlog: int
    memory_trusted: int
    memory_quarantined: int
    live_applies: int
    window: WindowProgress


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


@dataclass(frozen=True, slots=True)
class RecentPanel:
    """The newest runs of every lane."""

    rows: tuple[RunRow, ...]


@dataclass(frozen=True, slots=True)
class HomePage:
    """The panels of `/`, in the order of the page."""

    worth: WorthPanel
    headline: HeadlinePanel
    state: StatePanel
    counters: CountersPanel
    trend: TrendPanel
    knowledge: KnowledgePanel
    recent: RecentPanel


def build_home_page(*, now: datetime) -> HomePage:
    """Reads and builds all panels at `now` (aware UTC)."""
    vitals = take_vitals(now=now)
    standing, hosts = read_standing(), read_host_facts()
    return HomePage(
        worth=build_worth_panel(
            vitals.facts, routing=vitals.routing, hosts=hosts, now=now, last_apply=vitals.last_apply
        ),
        headline=build_headline_panel(vitals),
        state=build_state_panel(vitals),
        counters=build_counters_panel(vitals, memory=standing.counts),
        trend=build_trend_panel(),
        knowledge=build_knowledge_panel(vitals.facts, standing=standing, hosts=hosts),
        recent=RecentPanel(rows=read_recent_runs(limit=8)),
    )


def build_counters_panel(vitals: Vitals, *, memory: dict[str, int]) -> CountersPanel:
    """The panel from the vitals and memory counts by `kind/status`."""
    return CountersPanel(
        outcomes_total=vitals.facts.counters["outcomes.total"],
        outcomes_success=vitals.facts.counters["outcomes.success"],
        outcomes_failure=vitals.facts.counters["outcomes.failure"],
        ingested_total=vitals.facts.counters["ingested.total"],
        backlog=vitals.facts.backlog,
        memory_trusted=_count_status(memory, MemoryItem.Status.TRUSTED),
        memory_quarantined=_count_status(memory, MemoryItem.Status.QUARANTINED),
        live_applies=vitals.facts.live_applies,
        window=vitals.window,
    )


def build_knowledge_panel(facts: Facts, *, standing: Standing, hosts: tuple[HostFacts, ...]) -> KnowledgePanel:
    """The panel from what was read before; no query of its own."""
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


def _count_status(memory: dict[str, int], status: str) -> int:
    return sum(count for name, count in memory.items() if name.endswith(f"/{status}"))
