"""The headline (what is live, whether it is proven, what happens next), and panel 2, Training State."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lealife.dashboard.facts import Waiting
from lealife.dashboard.readings import Recent, Vitals
from lealife.health import DOWN, Health
from promotion.models import PromotionWindow
from promotion.routing import Routing
from training import selection
from training.slots import Slots

PROVEN_WORDS = {"green": "proven", "amber": "not proven yet", "red": "disproven", "unknown": "not proven yet"}


@dataclass(frozen=True, slots=True)
class HeadlinePanel:
    """The most important sentences of the page."""

    live: str
    proven: str
    proven_state: str  # green | amber | red | unknown
    proven_sentence: str
    next_action: str
    loop_state: str
    health: Health


@dataclass(frozen=True, slots=True)
class StatePanel:
    """Training State; `recent` are the newest 100 outcomes, `slots` the runs holding one now."""

    loop_state: str  # running | stopped | stalled | unknown
    loop_reason: str
    enabled: bool
    last_launch_at: datetime | None
    recent: Recent
    waiting: Waiting
    slots: Slots
    health: Health


def build_headline_panel(vitals: Vitals) -> HeadlinePanel:
    """The panel from the vitals; no query of its own."""
    return HeadlinePanel(
        live=name_live(vitals.routing),
        proven=PROVEN_WORDS[vitals.proof.state],
        proven_state=vitals.proof.state,
        proven_sentence=vitals.proof.sentence,
        next_action=describe_next(vitals),
        loop_state=vitals.loop.state,
        health=vitals.health,
    )


def name_live(routing: Routing) -> str:
    """Which tags serve."""
    names = [tag.name for tag in (routing.controller, routing.task) if tag]
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} live" if names else "No model tag is live yet"


def build_state_panel(vitals: Vitals) -> StatePanel:
    """The panel from the vitals; no query of its own."""
    return StatePanel(
        loop_state=vitals.loop.state,
        loop_reason=vitals.loop.reason,
        enabled=vitals.loop.enabled,
        last_launch_at=vitals.facts.launched_at,
        recent=vitals.recent,
        waiting=vitals.facts.waiting,
        slots=vitals.slots,
        health=vitals.health,
    )


def describe_next(vitals: Vitals) -> str:
    """What happens next by itself, or what someone must do first; as a sentence of its own."""
    window, action = vitals.window, describe_action(vitals)
    if vitals.health.state == DOWN:
        return f"Nothing happens next: {vitals.health.reasons[0]}"
    if window.state != PromotionWindow.State.COLLECTING:
        return f"{window.sentence}. Next: {action}"
    return f"Next: {action}" if vitals.loop.enabled and not explain_idle(vitals) else action


def describe_action(vitals: Vitals) -> str:
    """The same, as the words after “next action:”."""
    window = vitals.window
    if vitals.health.state == DOWN:
        return f"Nothing. {vitals.health.reasons[0]}"
    if window.state != PromotionWindow.State.COLLECTING:
        return window.next_action
    if idle := explain_idle(vitals):
        return f"No more runs start. {idle}"
    noun, lead = ("success", "leads") if window.until_next == 1 else ("successes", "lead")
    more = f"{window.until_next} more {window.counted} {noun}"
    if not vitals.loop.enabled:
        return f"Training is stopped. Start it: {more} {lead} to the next evaluation."
    return f"{more} until a candidate is built and evaluated."


def explain_idle(vitals: Vitals) -> str:
    """Why there is nothing to pick; empty when there is something."""
    mode, waiting = vitals.settings.source_lane_mode, vitals.facts.waiting
    if not waiting.queue and not waiting.curriculum and waiting.is_all_learned:
        return "There is nothing left to learn here until the site changes."
    if mode == selection.AUTOMATIC_ONLY:
        return "" if waiting.curriculum or not waiting.queue else "Automatic Only ignores the sources in the queue."
    if waiting.queue or not waiting.curriculum:
        return ""
    if mode == selection.QUEUED_ONLY:
        return "The queue is empty, and Queued Only blocks the curriculum."
    return "" if vitals.settings.curriculum_fallback else "The queue is empty, and curriculum fallback is off."
