"""What is trained right now, what will be picked next (panel 5), and the newest cycles (panel 7)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lealife.dashboard.facts import Waiting
from lealife.dashboard.readings import CYCLES_SHOWN, Readings
from lealife.dashboard.rows import fill_row
from lealife.dashboard.runs.answer_words import name_state
from lealife.dashboard.training.headline import explain_idle
from lealife.dashboard.training.lanes import NO_LOCK
from training.models import TrainingCycle, TrainingSource


@dataclass(frozen=True, slots=True)
class CycleRow:
    """One cycle; duration in milliseconds, None while it runs."""

    id: int
    run_id: int
    source_id: int
    title: str
    host: str
    kind: str
    lane: str
    controller_tag: str
    task_tag: str
    status: str
    state: str  # how sure the answer of a success is; else the status
    error_code: str
    error: str
    verifier: str
    pages: int
    controller_calls: int
    duration_ms: int | None
    opened_at: datetime
    started_at: datetime  # of the run; of the cycle until the run begins
    finished_at: datetime | None

    @property
    def seconds(self) -> float | None:
        """Duration in seconds."""
        return None if self.duration_ms is None else self.duration_ms / 1000


@dataclass(frozen=True, slots=True)
class RunningSource:
    """A source that is executing."""

    run_id: int
    source_id: int
    kind: str
    title: str
    host: str
    lane: str
    controller_tag: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class NextPreview:
    """The source that the next claim would take."""

    source_id: int
    kind: str
    title: str
    host: str
    prompt: str


@dataclass(frozen=True, slots=True)
class SourcePanel:
    """Live Training Source. `selection_mode`: queue_pending | curriculum_fallback | none."""

    running: tuple[RunningSource, ...]
    selection_mode: str
    next: NextPreview | None
    next_sentence: str
    curriculum_fallback: bool
    waiting: Waiting
    host_lock: str
    storage_state: str  # append-only | broken | unknown
    storage_sentence: str


@dataclass(frozen=True, slots=True)
class CyclesPanel:
    """Recent Training Cycles; `total` counts finished cycles and those that run."""

    rows: tuple[CycleRow, ...]
    total: int
    shown_max: int = CYCLES_SHOWN

    @property
    def oldest_run(self) -> int | None:
        """The run that the list of older ones continues below."""
        return self.rows[-1].run_id if self.rows else None


def build_source_panel(readings: Readings) -> SourcePanel:
    """The panel from one set of readings; no query of its own."""
    state, sentence = describe_storage(readings)
    idle = "" if readings.next_source.source else explain_idle(readings.vitals)
    return SourcePanel(
        # Without what moves on every page visit: this panel is sent again only when a source begins or ends.
        running=tuple(fill_row(RunningSource, view_cycle(cycle)) for cycle in readings.open_cycles),
        selection_mode=readings.next_source.selection_mode,
        next=view_next(readings.next_source.source),
        next_sentence=f"{readings.next_source.sentence} {idle}".strip(),
        curriculum_fallback=readings.vitals.settings.curriculum_fallback,
        waiting=readings.vitals.facts.waiting,
        host_lock=readings.next_source.host_lock or NO_LOCK,
        storage_state=state,
        storage_sentence=sentence,
    )


def view_next(source: TrainingSource | None) -> NextPreview | None:
    """The previewed source as a frozen value, its prompt shortened to 240 characters."""
    if source is None:
        return None
    return NextPreview(source.pk, source.kind, source.title, source.host.name, source.prompt[:240])


def describe_storage(readings: Readings) -> tuple[str, str]:
    """Whether the outcomes that the hash chain check has read so far are unchanged."""
    facts = readings.vitals.facts
    if facts.broken_at is not None:
        return "broken", facts.chain_fault
    if not facts.sealed_rows:
        return "unknown", "No outcome has been sealed yet."
    waiting = max(0, facts.counters["outcomes.total"] - facts.sealed_rows)
    return "append-only", f"Append-only, verified up to row {facts.verified_rows:,} of {facts.sealed_rows + waiting:,}."


def build_cycles_panel(readings: Readings) -> CyclesPanel:
    """The panel from one set of readings; no query of its own."""
    finished = readings.vitals.facts.counters["outcomes.total"]
    return CyclesPanel(
        rows=tuple(view_cycle(cycle) for cycle in readings.cycles),
        total=finished + len(readings.open_cycles),
    )


def view_cycle(cycle: TrainingCycle) -> CycleRow:
    """A cycle as a frozen value; needs its run and its source with the host loaded."""
    run, source = cycle.run, cycle.source
    return fill_row(
        CycleRow,
        cycle,
        title=source.title,
        host=source.host.name,
        kind=source.kind,
        lane=run.lane,
        controller_tag=run.controller_tag,
        task_tag=run.task_tag,
        status=run.status if cycle.status == TrainingCycle.Status.OPEN else cycle.status,
        state=name_state(run),
        error=cycle.error[:300],
        verifier=run.verifier,
        pages=run.pages,
        controller_calls=run.controller_calls,
        started_at=run.started_at or cycle.opened_at,
        duration_ms=run.duration_ms if cycle.finished_at else None,
    )
