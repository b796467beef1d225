"""Panel 4, How Training Improves Standard Tasks: queue → outcome → ingest → reuse."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lealife.dashboard.readings import NEWEST, Readings
from training.models import Run

# Ingest follows outcomes by itself; a longer backlog means that it does not keep up.
BACKLOG_LIMIT = 20


@dataclass(frozen=True, slots=True)
class RelayStep:
    """One step of the relay: its state in a word, its figures and what they mean."""

    number: int
    title: str
    state: str
    figures: str
    meaning: str


@dataclass(frozen=True, slots=True)
class RelayPanel:
    """The learning relay; 30-minute counts read at most 2,000 of the newest rows (`*_capped` says so)."""

    state: str  # healthy | behind | stopped | down | unknown
    sentence: str
    steps: tuple[RelayStep, ...]
    in_window: int
    window_size: int
    consumed_30m: int
    consumed_capped: bool
    ingested_30m: int
    ingested_capped: bool
    backlog: int
    running_training: int
    running_standard: int
    task_tag: str | None
    latest_success_title: str | None
    latest_success_run: int | None
    latest_success_at: datetime | None


def build_relay_panel(readings: Readings) -> RelayPanel:
    """The panel from one set of readings; no query of its own."""
    state, sentence = judge_relay(readings)
    latest, task = readings.latest_success, readings.routing.task
    return RelayPanel(
        state=state,
        sentence=sentence,
        steps=_build_steps(readings),
        in_window=readings.window.in_window,
        window_size=readings.window.size,
        consumed_30m=readings.consumed_30m,
        consumed_capped=readings.consumed_30m >= NEWEST,
        ingested_30m=readings.ingested_30m,
        ingested_capped=readings.ingested_30m >= NEWEST,
        backlog=readings.backlog,
        running_training=readings.slots.running_training,
        running_standard=readings.slots.by_lane.get(Run.Lane.STANDARD, 0),
        task_tag=task.name if task else None,
        latest_success_title=latest.source.title if latest else None,
        latest_success_run=latest.run_id if latest else None,
        latest_success_at=latest.created_at if latest else None,
    )


def judge_relay(readings: Readings) -> tuple[str, str]:
    """The relay's state and the reason, worst first."""
    if readings.health.worker == "down":
        return "down", "No worker reports: nothing is executed or ingested."
    if readings.backlog > BACKLOG_LIMIT:
        return "behind", f"{readings.backlog:,} outcomes wait to be ingested."
    if readings.loop.state == "stalled":
        return "behind", readings.loop.reason
    if readings.loop.state == "stopped":
        return "stopped", "Training is stopped; what was learned stays in use."
    if readings.loop.state == "unknown":
        return "unknown", readings.loop.reason
    return "healthy", "Queue → training outcome → learning ingest → reused by standard tasks."


def _build_steps(readings: Readings) -> tuple[RelayStep, ...]:
    slots, window, task = readings.slots, readings.window, readings.routing.task
    pending = readings.waiting.queue + readings.waiting.curriculum
    return (
        RelayStep(
            number=1,
            title="Queue Intake",
            state="active" if readings.consumed_30m else "idle",
            figures=f"{readings.consumed_30m:,} consumed in 30m | {pending:,} pending",
            meaning="Consumed training sources become execution-ready cycles.",
        ),
        RelayStep(
            number=2,
            title="Training Execution",
            state="active" if slots.running_training else readings.loop.state,
            figures=f"training {slots.running_training}/{slots.training_max} running | "
            f"{readings.recent.successes}/{readings.recent.total} recent successes",
            meaning="Runs emit outcomes that feed the learning relay.",
        ),
        RelayStep(
            number=3,
            title="Learning Ingest",
            state="behind" if readings.backlog > BACKLOG_LIMIT else "active" if readings.ingested_30m else "idle",
            figures=f"{readings.ingested_30m:,} ingested in 30m | backlog {readings.backlog:,}",
            meaning="Outcomes are upserted into shared learning memory.",
        ),
        RelayStep(
            number=4,
            title="Standard Task Reuse",
            state="active" if readings.applies.count else "waiting",
            figures=f"window {window.in_window}/{window.size} | live applies {readings.applies.count}",
            meaning=f"Standard tasks use active model {task.name if task else '—'}.",
        ),
    )
