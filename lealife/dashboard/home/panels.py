"""The dashboard's home: the system's state, what it achieved, and whether it gets better."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lealife.dashboard.home.knowledge import KnowledgePanel, build_knowledge_panel
from lealife.dashboard.home.trend import TrendPanel, build_trend_panel
from lealife.dashboard.readings import Vitals, take_vitals
from lealife.dashboard.runs.listing import RunRow, read_recent_runs
from lealife.dashboard.training.headline import HeadlinePanel, build_headline_panel
from lealife.dashboard.training.state import StatePanel, build_state_panel
from learning.models import MemoryItem
from learning.uplift import read_standing


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
    window: int
    in_window: int
    window_size: int


@dataclass(frozen=True, slots=True)
class RecentPanel:
    """The newest runs of every lane."""

    rows: tuple[RunRow, ...]


@dataclass(frozen=True, slots=True)
class HomePage:
    """The panels of `/`, in the order of the page."""

    headline: HeadlinePanel
    state: StatePanel
    counters: CountersPanel
    trend: TrendPanel
    knowledge: KnowledgePanel
    recent: RecentPanel
    generated_at: datetime


def build_home_page(*, now: datetime) -> HomePage:
    """Reads and builds all panels at `now` (aware UTC)."""
    vitals = take_vitals(now=now)
    standing = read_standing()
    return HomePage(
        headline=build_headline_panel(vitals),
        state=build_state_panel(vitals),
        counters=build_counters_panel(vitals, memory=standing.counts),
        trend=build_trend_panel(),
        knowledge=build_knowledge_panel(vitals.facts, standing=standing),
        recent=RecentPanel(rows=read_recent_runs(limit=8)),
        generated_at=now,
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
        window=vitals.window.number,
        in_window=vitals.window.in_window,
        window_size=vitals.window.size,
    )


def _count_status(memory: dict[str, int], status: str) -> int:
    return sum(count for name, count in memory.items() if name.endswith(f"/{status}"))
