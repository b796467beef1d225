"""Readings: what the panels of one snapshot share, read once, at a cost that does not grow with history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Q
from django.db.models.expressions import RawSQL

from lealife.dashboard.facts import Facts, read_facts
from lealife.health import Health, name_suspects, read_health
from promotion.calibration import Calibrated, read_calibration
from promotion.candidates.windows import WindowProgress, read_window
from promotion.evaluation.standing import CandidateView, read_candidate
from promotion.models import LiveApply, ModelTag
from promotion.proof.served import ServedProof, read_last_applies, read_served_proof
from promotion.routing import Routing
from promotion.tags import UNUSED
from training.coordinator import LoopState, derive_loop
from training.definitions import annotate_pending, read_state
from training.models import (
    RuntimeSettings,
    RuntimeSettingsChange,
    TaskDefinition,
    TrainingCycle,
    TrainingOutcome,
    TrainingSource,
)
from training.outcomes import judge_breaker
from training.preview import NextSource, choose_preview
from training.selection_state import ClaimReads
from training.slots import Slots, count_slots

RECENT = 100
CYCLES_SHOWN = 10
PENDING_SHOWN = 10
TAGS_SAMPLED = 5
# Of the newest hundred saved definitions those with the most pending sources are shown.
DEFINITIONS_LOOKED_AT, DEFINITIONS_SHOWN = 100, 5
CHANGES_SHOWN = 5
# What the page shows of a cycle, of its run and of its source: they have sixty columns more.
CYCLE_COLUMNS = ("run", "source", "status", "error_code", "error", "opened_at", "finished_at")
CYCLE_RUN_COLUMNS = tuple(
    f"run__{name}"
    for name in (
        *("host", "lane", "status", "started_at", "duration_ms", "verifier", "pages", "controller_calls"),
        *("answer_state", "controller_tag", "task_tag"),
    )
)
CYCLE_SOURCE_COLUMNS = ("source__title", "source__kind", "source__host__name")
PENDING_COLUMNS = (
    *("host", "kind", "status", "status_reason", "title", "prompt", "queued_from", "queued_by"),
    *("priority", "failed_attempts", "not_before", "created_at", "host__name"),
)


@dataclass(frozen=True, slots=True)
class LatestSuccess:
    """The newest success: what it was about, its run and when it was written; None before the first."""

    title: str | None = None
    run_id: int | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Recent:
    """The newest outcomes, at most 100: how many succeeded, and the newest success among them."""

    successes: int
    total: int
    latest_success: LatestSuccess
    # Error code and time, newest first. No page shows them.
    endings: tuple[tuple[str, datetime], ...] = field(metadata={"volatile": True})

    @property
    def percent(self) -> int | None:
        """Whole percent, unknown without outcomes."""
        return round(100 * self.successes / self.total) if self.total else None


@dataclass(frozen=True, slots=True)
class Vitals:
    """One consistent-enough look at the system, at `now`: what every page begins with."""

    now: datetime
    facts: Facts
    loop: LoopState
    health: Health
    slots: Slots
    configured: tuple[ModelTag, ...]  # active ones first
    unused: tuple[ModelTag, ...]  # the newest of them
    routing: Routing
    window: WindowProgress
    proof: ServedProof
    recent: Recent
    last_apply: LiveApply | None  # of any kind; a first routing is no switch

    @property
    def settings(self) -> RuntimeSettings:
        """The values that run."""
        return self.facts.settings


@dataclass(frozen=True, slots=True)
class DefinitionCount:
    """A saved task definition: ready or what keeps it from being queued, and how many of its sources wait."""

    id: int
    title: str
    state: str
    pending: int


@dataclass(frozen=True, slots=True)
class Readings:
    """What the training page also needs: what is tried, what runs and what is next."""

    vitals: Vitals
    candidate: CandidateView | None
    next_source: NextSource
    pending: tuple[TrainingSource, ...]  # the heads of both queues, and what is next, in queue order
    cycles: tuple[TrainingCycle, ...]  # the newest ten, newest first
    open_cycles: tuple[TrainingCycle, ...]  # oldest first
    definitions: tuple[DefinitionCount, ...]  # most pending first
    changes: tuple[RuntimeSettingsChange, ...]  # of the settings, the newest five
    checked: Calibrated | None  # of answers by tags like the active ones; None before there are such tags


def take_vitals(*, now: datetime) -> Vitals:
    """Reads what every page begins with; `now` is aware UTC. The number of queries is pinned by a test."""
    facts = read_facts(now=now)
    recent = read_recent()
    loop = derive_loop(row=facts.coordinator, breaker=judge_breaker(latest=recent.endings, now=now), now=now)
    configured, unused = read_tags()
    active = {tag.role: tag for tag in configured if tag.status == ModelTag.Status.ACTIVE}
    routing = Routing(controller=active.get("controller"), task=active.get("task"))
    applies = read_last_applies()
    return Vitals(
        now=now,
        facts=facts,
        loop=loop,
        health=read_health(
            now=now,
            loop=loop,
            beats=facts.beats,
            queue_depth=facts.queue_depth,
            suspects=name_suspects(routing=routing, failed=facts.failed_servers),
        ),
        slots=count_slots(row=facts.settings, by_lane=facts.by_lane),
        configured=configured,
        unused=unused,
        routing=routing,
        window=read_window(counts=facts.counters, row=facts.settings),
        proof=read_served_proof(routing=routing, applies=applies),
        recent=recent,
        last_apply=_find_last_switch(applies.values()),
    )


def take_readings(*, now: datetime) -> Readings:
    """Reads the vitals and what else the training page needs; `now` is aware UTC."""
    cycles = read_cycles()
    vitals = take_vitals(now=now)
    facts = vitals.facts
    open_cycles = tuple(cycle for cycle in reversed(cycles) if cycle.status == TrainingCycle.Status.OPEN)
    reads = ClaimReads(
        row=facts.settings,
        slots=vitals.slots,
        busy_hosts=frozenset(cycle.run.host_id for cycle in open_cycles),
        recent_hosts=facts.recent_hosts,
        outcomes=facts.counters["outcomes.total"],
    )
    preview = choose_preview(reads, now=now)
    pending = read_pending(also=preview.source_id)
    return Readings(
        vitals=vitals,
        candidate=read_candidate(),
        next_source=preview.describe(next((source for source in pending if source.pk == preview.source_id), None)),
        pending=tuple(source for source in pending if source.status == source.Status.PENDING),
        cycles=cycles[:CYCLES_SHOWN],
        open_cycles=open_cycles,
        definitions=read_definitions(),
        changes=tuple(RuntimeSettingsChange.objects.order_by("-version")[:CHANGES_SHOWN]),
        checked=read_checked(vitals.routing),
    )


def read_checked(routing: Routing) -> Calibrated | None:
    """How many of the newest checked answers above the active threshold were right; None without active tags."""
    if routing.controller is None or routing.task is None:
        return None
    return read_calibration(controller=routing.controller, task=routing.task)


def read_tags() -> tuple[tuple[ModelTag, ...], tuple[ModelTag, ...]]:
    """The tags that serve or may serve, active ones first; and the newest of the unused. One query."""
    newest = ModelTag.objects.filter(status__in=UNUSED).order_by("-id").values("id")[:TAGS_SAMPLED]
    configured = Q(status__in=[ModelTag.Status.ACTIVE, ModelTag.Status.CONFIGURED])
    tags = ModelTag.objects.filter(configured | Q(pk__in=newest)).order_by("role", "id")
    unused = [tag for tag in tags if tag.status in UNUSED]
    serving = [tag for tag in tags if tag.status not in UNUSED]
    serving.sort(key=lambda tag: tag.status != ModelTag.Status.ACTIVE)
    return tuple(serving), tuple(sorted(unused, key=lambda tag: -tag.pk))


def read_recent() -> Recent:
    """The newest 100 outcomes. A search for the last success would read all history when there is none. One query."""
    outcomes = TrainingOutcome.objects.order_by("-id")
    shown = list(outcomes.values_list("success", "error_code", "created_at", "run_id", "source__title")[:RECENT])
    succeeded = [LatestSuccess(title, run_id, at) for success, _, at, run_id, title in shown if success]
    return Recent(
        successes=len(succeeded),
        total=len(shown),
        latest_success=succeeded[0] if succeeded else LatestSuccess(),
        endings=tuple((error_code, at) for _, error_code, at, _, _ in shown),
    )


def _find_last_switch(applies: Iterable[LiveApply]) -> LiveApply | None:
    """The newest of the roles' newest applies; a first routing is no switch."""
    return max((apply for apply in applies if apply.from_tag_id), key=lambda apply: apply.pk, default=None)


def read_definitions() -> tuple[DefinitionCount, ...]:
    """The saved definitions that have the most pending sources. One query."""
    newest = TaskDefinition.objects.order_by("-id").values("pk")[:DEFINITIONS_LOOKED_AT]
    rows = annotate_pending(TaskDefinition.objects.filter(pk__in=newest)).select_related("host")
    return tuple(
        DefinitionCount(id=row.pk, title=row.title, state=read_state(row), pending=row.pending)
        for row in rows.order_by("-pending", "title")[:DEFINITIONS_SHOWN]
    )


def read_cycles() -> tuple[TrainingCycle, ...]:
    """The newest ten cycles and all that are open, newest first. One query, by index only."""
    ids = TrainingCycle.objects.order_by("-id").values("id")[:CYCLES_SHOWN]
    # A union, because an OR of the two would read every cycle.
    shown = ids.union(TrainingCycle.objects.order_by().filter(status=TrainingCycle.Status.OPEN).values("id"))
    cycles = TrainingCycle.objects.filter(pk__in=shown).select_related("run", "source__host")
    return tuple(cycles.only(*CYCLE_COLUMNS, *CYCLE_RUN_COLUMNS, *CYCLE_SOURCE_COLUMNS).order_by("-id"))


# The first of each host's by the index that claims use, and the first of those. The order across all hosts has no
# index: a search by it would read everything that waits. Django cannot say LATERAL.
_FIRST_PENDING = " UNION ALL ".join(
    f"""
    (SELECT first.id FROM training_host AS host CROSS JOIN LATERAL (
        SELECT id, queue_rank FROM training_trainingsource
        WHERE status = '{TrainingSource.Status.PENDING}' AND kind = '{kind}' AND host_id = host.id
        ORDER BY queue_rank, id LIMIT {PENDING_SHOWN}
    ) AS first ORDER BY first.queue_rank, first.id LIMIT {PENDING_SHOWN})
    """  # noqa: S608  constants of our own
    for kind in TrainingSource.Kind
)


def read_pending(*, also: int | None) -> tuple[TrainingSource, ...]:
    """The first ten pending sources of each kind, and the one with id `also`, in queue order. One query."""
    shown = RawSQL(f"{_FIRST_PENDING} UNION ALL SELECT %s::bigint", (also,))  # noqa: S611  constants of our own
    sources = TrainingSource.objects.filter(pk__in=shown).select_related("host").only(*PENDING_COLUMNS)
    return tuple(sources.order_by("queue_rank", "id"))
