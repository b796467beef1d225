"""Readings: what the panels of one snapshot share, read once, at a cost that does not grow with history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from lealife.dashboard.facts import Facts, read_facts
from lealife.health import Health, read_health
from promotion.candidate_view import CandidateView, read_candidate
from promotion.models import LiveApply, ModelTag
from promotion.proof import ServedProof, read_served_proof
from promotion.routing import Routing
from promotion.tags import KEEP_TAGS, UNUSED, TagList
from promotion.windows import WindowProgress, read_window
from training.claims import NextSource, preview_next
from training.coordinator import LoopState, read_loop
from training.models import RuntimeSettings, RuntimeSettingsChange, TrainingCycle, TrainingOutcome
from training.slots import Slots, count_slots

RECENT = 100
CYCLES_SHOWN = 10
CHANGES_SHOWN = 5
TAGS_SAMPLED = 5


@dataclass(frozen=True, slots=True)
class Recent:
    """The newest outcomes, at most 100: how many succeeded, and the newest success among them."""

    successes: int
    total: int
    latest_success: TrainingOutcome | None

    @property
    def percent(self) -> int | None:
        """Whole percent, unknown without outcomes."""
        return 100 * self.successes // self.total if self.total else None


@dataclass(frozen=True, slots=True)
class Vitals:
    """One consistent-enough look at the system, at `now`: what every page begins with."""

    now: datetime
    facts: Facts
    loop: LoopState
    health: Health
    slots: Slots
    tags: TagList
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
class Readings:
    """What the training page needs besides: what is tried, what runs and what is next."""

    vitals: Vitals
    candidate: CandidateView | None
    next_source: NextSource
    cycles: tuple[TrainingCycle, ...]  # the newest ten, newest first
    open_cycles: tuple[TrainingCycle, ...]  # oldest first
    changes: tuple[RuntimeSettingsChange, ...]  # the newest five


def take_vitals(*, now: datetime) -> Vitals:
    """Reads what every page begins with; `now` is aware UTC. The number of queries is pinned by a test."""
    facts = read_facts(now=now)
    loop = read_loop(now=now)
    tags = read_tag_list(unused_count=facts.unused_tags)
    active = {tag.role: tag for tag in tags.active}
    return Vitals(
        now=now,
        facts=facts,
        loop=loop,
        health=read_health(now=now, loop=loop, beats=facts.beats),
        slots=count_slots(row=facts.settings, by_lane=facts.by_lane),
        tags=tags,
        routing=Routing(controller=active.get("controller"), task=active.get("task")),
        window=read_window(),
        proof=read_served_proof(),
        recent=read_recent(),
        last_apply=read_last_apply(),
    )


def take_readings(*, now: datetime) -> Readings:
    """Reads the vitals and what the training page needs besides; `now` is aware UTC."""
    cycles = read_cycles()
    return Readings(
        vitals=take_vitals(now=now),
        candidate=read_candidate(),
        next_source=preview_next(now=now),
        cycles=cycles[:CYCLES_SHOWN],
        open_cycles=tuple(cycle for cycle in reversed(cycles) if cycle.status == TrainingCycle.Status.OPEN),
        changes=tuple(RuntimeSettingsChange.objects.order_by("-version")[:CHANGES_SHOWN]),
    )


def read_tag_list(*, unused_count: int) -> TagList:
    """Tags by what they do, with the newest of the unused as a sample. One query."""
    status = ModelTag.Status
    unused = ModelTag.objects.filter(status__in=UNUSED).order_by("-id").values("id")[:TAGS_SAMPLED]
    wanted = Q(status__in=[status.ACTIVE, status.CANDIDATE, status.CONFIGURED]) | Q(pk__in=unused)
    tags = list(ModelTag.objects.filter(wanted).order_by("role", "id"))
    active = tuple(tag for tag in tags if tag.status == status.ACTIVE)
    return TagList(
        active=active,
        candidate=tuple(tag for tag in tags if tag.status == status.CANDIDATE),
        configured=active + tuple(tag for tag in tags if tag.status == status.CONFIGURED),
        unused=tuple(sorted((tag for tag in tags if tag.status in UNUSED), key=lambda tag: -tag.pk)),
        unused_count=unused_count,
        keep=KEEP_TAGS,
    )


def read_recent() -> Recent:
    """The newest 100 outcomes. A search for the last success would read all history when there is none."""
    newest = TrainingOutcome.objects.order_by("-id").select_related("source")
    rows = list(newest.only("success", "run_id", "created_at", "source__title")[:RECENT])
    return Recent(
        successes=sum(row.success for row in rows),
        total=len(rows),
        latest_success=next((row for row in rows if row.success), None),
    )


def read_last_apply() -> LiveApply | None:
    """The newest switch; a first routing is none. One query."""
    switches = LiveApply.objects.filter(from_tag__isnull=False).select_related("from_tag", "to_tag")
    return switches.order_by("-id").first()


def read_cycles() -> tuple[TrainingCycle, ...]:
    """The newest ten cycles and all that are open, newest first. One query, by index only."""
    ids = TrainingCycle.objects.order_by("-id").values("id")[:CYCLES_SHOWN]
    shown = ids.union(TrainingCycle.objects.order_by().filter(status=TrainingCycle.Status.OPEN).values("id"))
    return tuple(
        TrainingCycle.objects.filter(pk__in=shown)
        .select_related("run", "source", "source__host")
        .defer("run__prompt", "run__memories", "run__answer", "run__quotes", "source__prompt", "source__check_spec")
        .order_by("-id")
    )
