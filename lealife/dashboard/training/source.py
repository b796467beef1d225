"""Panel 5, Live Training Source: what is trained right now and what will be picked next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lealife.dashboard.readings import Readings
from lealife.dashboard.training.headline import explain_idle
from lealife.dashboard.training.lanes import NO_LOCK
from training.models import TrainingSource
from training.seals import name_break


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
    queue_pending: int
    queue_pending_training_ui: int
    curriculum_pending: int
    host_lock: str
    storage_state: str  # append-only | broken | unknown
    storage_sentence: str


def build_source_panel(readings: Readings) -> SourcePanel:
    """The panel from one set of readings; no query of its own."""
    state, sentence = describe_storage(readings)
    idle = "" if readings.next_source.source else explain_idle(readings.vitals)
    return SourcePanel(
        running=tuple(
            RunningSource(
                run_id=cycle.run_id,
                source_id=cycle.source_id,
                kind=cycle.source.kind,
                title=cycle.source.title,
                host=cycle.source.host.name,
                lane=cycle.run.lane,
                controller_tag=cycle.run.controller_tag,
                started_at=cycle.run.started_at or cycle.opened_at,
            )
            for cycle in readings.open_cycles
        ),
        selection_mode=readings.next_source.selection_mode,
        next=view_next(readings.next_source.source),
        next_sentence=f"{readings.next_source.sentence} {idle}".strip(),
        curriculum_fallback=readings.vitals.settings.curriculum_fallback,
        queue_pending=readings.vitals.facts.waiting.queue,
        queue_pending_training_ui=readings.vitals.facts.waiting.queue_training_ui,
        curriculum_pending=readings.vitals.facts.waiting.curriculum,
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
        return "broken", facts.chain_fault or name_break(facts.broken_at)
    if not facts.sealed_rows:
        return "unknown", "No outcome has been sealed yet."
    waiting = max(0, facts.counters["outcomes.total"] - facts.sealed_rows)
    return "append-only", f"Append-only, verified up to row {facts.verified_rows:,} of {facts.sealed_rows + waiting:,}."
