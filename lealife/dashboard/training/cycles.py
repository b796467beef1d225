"""Panel 7, Recent Training Cycles: one row a cycle, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lealife.dashboard.readings import CYCLES_SHOWN, Readings
from training.models import TrainingCycle


@dataclass(frozen=True, slots=True)
class CycleRow:
    """One cycle; duration in milliseconds, None while it runs."""

    id: int
    run_id: int
    title: str
    host: str
    kind: str
    lane: str
    controller_tag: str
    task_tag: str
    status: str
    error_code: str
    error: str
    verifier: str
    pages: int
    controller_calls: int
    duration_ms: int | None
    opened_at: datetime
    finished_at: datetime | None

    @property
    def seconds(self) -> float | None:
        """Duration in seconds."""
        return None if self.duration_ms is None else self.duration_ms / 1000


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


def build_cycles_panel(readings: Readings) -> CyclesPanel:
    """The panel from one set of readings; no query of its own."""
    finished = readings.vitals.facts.counters["outcomes.total"]
    return CyclesPanel(
        rows=tuple(view_cycle(cycle) for cycle in readings.cycles),
        total=finished + len(readings.open_cycles),
    )


def view_cycle(cycle: TrainingCycle) -> CycleRow:
    """A cycle as a frozen value; needs its run and its source with the host loaded."""
    return CycleRow(
        id=cycle.pk,
        run_id=cycle.run_id,
        title=cycle.source.title,
        host=cycle.source.host.name,
        kind=cycle.source.kind,
        lane=cycle.run.lane,
        controller_tag=cycle.run.controller_tag,
        task_tag=cycle.run.task_tag,
        status=cycle.run.status if cycle.status == TrainingCycle.Status.OPEN else cycle.status,
        error_code=cycle.error_code,
        error=cycle.error[:300],
        verifier=cycle.run.verifier,
        pages=cycle.run.pages,
        controller_calls=cycle.run.controller_calls,
        duration_ms=cycle.run.duration_ms if cycle.finished_at else None,
        opened_at=cycle.opened_at,
        finished_at=cycle.finished_at,
    )
