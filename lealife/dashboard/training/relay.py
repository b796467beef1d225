"""Panel 4, How Training Improves Standard Tasks: queue → outcome → ingest → reuse."""

from __future__ import annotations

from dataclasses import dataclass

from lealife.dashboard.facts import NEWEST
from lealife.dashboard.readings import LatestSuccess, Vitals
from promotion.candidates.windows import WindowProgress
from training.models import Run
from training.slots import Slots

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
    window: WindowProgress
    consumed_30m: int
    consumed_capped: bool
    ingested_30m: int
    ingested_capped: bool
    backlog: int
    slots: Slots
    running_standard: int
    task_tag: str | None
    latest_success: LatestSuccess


def build_relay_panel(vitals: Vitals) -> RelayPanel:
    """The panel from the vitals; no query of its own."""
    state, sentence = judge_relay(vitals)
    task = vitals.routing.task
    return RelayPanel(
        state=state,
        sentence=sentence,
        steps=_build_steps(vitals),
        window=vitals.window,
        consumed_30m=vitals.facts.consumed_30m,
        consumed_capped=vitals.facts.consumed_30m >= NEWEST,
        ingested_30m=vitals.facts.ingested_30m,
        ingested_capped=vitals.facts.ingested_30m >= NEWEST,
        backlog=vitals.facts.backlog,
        slots=vitals.slots,
        running_standard=vitals.slots.by_lane.get(Run.Lane.STANDARD, 0),
        task_tag=task.name if task else None,
        latest_success=vitals.recent.latest_success,
    )


def judge_relay(vitals: Vitals) -> tuple[str, str]:
    """The relay's state and the reason, worst first."""
    if vitals.health.worker == "down":
        return "down", "No worker is running, so nothing is executed or ingested."
    if vitals.facts.backlog > BACKLOG_LIMIT:
        return "behind", f"{vitals.facts.backlog:,} outcomes are waiting to be ingested."
    if vitals.loop.state == "stalled":
        return "behind", vitals.loop.reason
    if vitals.loop.state == "stopped":
        return "stopped", "Training is stopped. What was learned stays in use."
    if vitals.loop.state == "unknown":
        return "unknown", vitals.loop.reason
    return "healthy", "Queue → training outcome → learning ingest → reused by standard tasks."


def _build_steps(vitals: Vitals) -> tuple[RelayStep, ...]:
    facts = vitals.facts
    slots, window, task = vitals.slots, vitals.window, vitals.routing.task
    pending = facts.waiting.queue + facts.waiting.curriculum
    return (
        RelayStep(
            number=1,
            title="Queue Intake",
            state="active" if facts.consumed_30m else "idle",
            figures=f"{facts.consumed_30m:,} consumed in 30m | {pending:,} pending",
            meaning="Consumed training sources become execution-ready cycles.",
        ),
        RelayStep(
            number=2,
            title="Training Execution",
            state="active" if slots.running_training else vitals.loop.state,
            figures=f"training {slots.running_training}/{slots.training_cap} running | "
            f"{vitals.recent.successes}/{vitals.recent.total} recent successes",
            meaning="Runs emit outcomes that feed the learning relay.",
        ),
        RelayStep(
            number=3,
            title="Learning Ingest",
            state="behind" if facts.backlog > BACKLOG_LIMIT else "active" if facts.ingested_30m else "idle",
            figures=f"{facts.ingested_30m:,} ingested in 30m | backlog {facts.backlog:,}",
            meaning="Outcomes are upserted into shared learning memory.",
        ),
        RelayStep(
            number=4,
            title="Standard Task Reuse",
            state="active" if facts.live_applies else "waiting",
            figures=f"window {window.in_window}/{window.size} | live applies {facts.live_applies}",
            meaning=f"Standard tasks use active model {task.name if task else '—'}.",
        ),
    )
