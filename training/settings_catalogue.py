"""What each runtime setting is: label, unit, bounds, first default and meaning, said here and nowhere else.

The model's fields are built from it; the page, the API's schema and refusals read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

WHOLE, NUMBER, SWITCH, CHOICE = "whole", "number", "switch", "choice"
_KINDS = {int: WHOLE, float: NUMBER, bool: SWITCH, str: CHOICE}


class Group(StrEnum):
    """Who a value belongs to: the training loop alone, every run, or promotion."""

    TRAINING = "training"
    EVERY_TASK = "every_task"
    PROMOTION = "promotion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One runtime setting. `least` and `most` are inclusive; None, as an empty `unit`, where there are none."""

    name: str
    label: str
    group: Group
    kind: str  # whole | number | switch | choice
    default: int | float | bool | str
    hint: str
    unit: str = ""
    least: int | float | None = None
    most: int | float | None = None
    choices: tuple[tuple[str, str], ...] = ()

    @property
    def bounds(self) -> str:
        """What a value may be, in words: `1–100 failed attempts`."""
        if self.kind == SWITCH:
            return "On or Off"
        if self.kind == CHOICE:
            return ", ".join(value for value, _ in self.choices)
        return f"{_say(self.least)}–{_say(self.most)} {self.unit}"


def _say(bound: float | None) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def _setting(
    group: Group, name: str, label: str, default: float | str, hint: str, *, within: Any = (None, None), **more: Any
) -> Setting:
    """A setting of the kind that its default has; `within`: the least and the most, for numbers."""
    kind, (least, most) = _KINDS[type(default)], within
    return Setting(
        name=name, label=label, group=group, kind=kind, default=default, hint=hint, least=least, most=most, **more
    )


_training = partial(_setting, Group.TRAINING)
_every_task = partial(_setting, Group.EVERY_TASK)
_promotion = partial(_setting, Group.PROMOTION)

_ALL = (
    _training(
        "training_max_active_runs",
        "Training Max Active Runs",
        2,
        "Training-only cap: limits active training cycles, not total runtime runs.",
        within=(0, 1000),
        unit="runs",
    ),
    _training(
        "loop_interval_s",
        "Loop Interval (s)",
        1.0,
        "Delay between scheduler ticks when capacity is available. Values above half of the coordinator's "
        "lease have no further effect, because the leader must renew it in time.",
        within=(0.05, 3600),
        unit="seconds",
    ),
    _training(
        "recent_host_window",
        "Recent Host Window",
        2,
        "Host dedupe window used to diversify training source selection.",
        within=(0, 1000),
        unit="hosts",
    ),
    _training(
        "retry_budget",
        "Retry Budget / Source",
        3,
        "Max failed attempts allowed per training source before disablement.",
        within=(1, 100),
        unit="failed attempts",
    ),
    _training(
        "default_pages_target",
        "Default Pages Target",
        3,
        "Default page-count target only when prompt does not explicitly set one.",
        within=(1, 50),
        unit="pages",
    ),
    _training(
        "curriculum_fallback",
        "Curriculum Fallback",
        True,
        "Whether curriculum sources are allowed when operator queue is empty.",
    ),
    _training(
        "source_lane_mode",
        "Source Lane Mode",
        "hybrid",
        "Hybrid = queue first then curriculum fallback. Queued Only = queue only. Automatic Only = curriculum only.",
        choices=(("hybrid", "Hybrid"), ("queued_only", "Queued Only"), ("automatic_only", "Automatic Only")),
    ),
    _training(
        "campaign_lock",
        "Campaign Lock Mode",
        False,
        "When enabled, campaign queue selection is locked to keep training intake stable.",
    ),
    _every_task(
        "global_max_concurrent_runs",
        "Global Max Concurrent Runs",
        4,
        "Hard upper limit for all simultaneously running runs in the system.",
        within=(1, 1000),
        unit="runs",
    ),
    _every_task(
        "reserved_control_slots",
        "Reserved Control Slots",
        1,
        "Slots reserved for non-training control-plane work (self-improve/model-promotion/canary).",
        within=(0, 1000),
        unit="runs",
    ),
    _every_task(
        "controller_max_calls",
        "Controller Max Calls / Run",
        5,
        "How many controller-model URL-pick calls are allowed per run.",
        within=(1, 100),
        unit="calls a run",
    ),
    _every_task(
        "browser_engine",
        "Browser Engine (Global)",
        "http",
        "What fetches pages: a plain HTTP client, or a Chromium that runs the pages' scripts.",
        choices=(("http", "http"), ("chromium", "chromium")),
    ),
    _every_task(
        "browser_headful",
        "Browser Headful (Global)",
        False,
        "Whether browser sessions render with visible UI windows.",
    ),
    _every_task(
        "browser_autostart",
        "Browser Autostart (Global)",
        False,
        "Whether browser sessions are auto-launched for run execution.",
    ),
    _promotion(
        "window_size",
        "Window Size",
        30,
        "Ingested verified successes between two evaluations; supported ones too while Count Supported Answers is on.",
        within=(2, 10_000),
        unit="successes that count",
    ),
    _promotion(
        "count_supported",
        "Count Supported Answers",
        False,
        "While on, an answer that only its quote supports counts like one that a check found right: it fills "
        "windows, and memory and exemplars trust it. Outcomes written before a change keep what they counted.",
    ),
    _promotion(
        "evaluation_pairs",
        "Evaluation Pairs",
        300,
        "The most pairs that one evaluation may run.",
        within=(4, 5000),
        unit="pairs",
    ),
    _promotion(
        "canary_share_percent",
        "Canary Share",
        30,
        "Share of training runs that a canary serves, in percent.",
        within=(1, 90),
        unit="percent",
    ),
    _promotion(
        "canary_min_observations",
        "Canary Minimum",
        20,
        "Outcomes needed in both arms before a canary may pass.",
        within=(1, 10_000),
        unit="outcomes",
    ),
    _promotion(
        "canary_deadline_s",
        "Canary Deadline (s)",
        3600,
        "After this many seconds, a canary without enough observations is aborted.",
        within=(10, 604_800),
        unit="seconds",
    ),
    _promotion(
        "canary_ramp",
        "Canary Ramp",
        False,
        "While on, a canary starts with a quarter of its share, and all of it after a quarter of its outcomes.",
    ),
    _promotion(
        "hold_back_percent",
        "Hold-back Share",
        10,
        "Share of training runs that the previous tag still serves while an apply is watched; 0: no watch.",
        within=(0, 50),
        unit="percent",
    ),
    _promotion(
        "watch_observations",
        "Watch Observations",
        20,
        "Outcomes in both arms after which the watch over a live apply ends.",
        within=(1, 10_000),
        unit="outcomes",
    ),
    _promotion(
        "watch_deadline_s",
        "Watch Deadline (s)",
        21_600,
        "After this many seconds, the watch over a live apply ends, whatever it has seen.",
        within=(10, 604_800),
        unit="seconds",
    ),
    _promotion(
        "auto_rollback",
        "Automatic Roll Back",
        True,
        "While on, a red proof, or harm found after an apply, makes the previous tag active again.",
    ),
    _promotion(
        "lifetime_alpha",
        "Lifetime Alpha",
        0.05,
        "Error budget of all candidates together, over the whole lifetime.",
        within=(0.0001, 0.5),
        unit="chance of any false promotion",
    ),
    _promotion(
        "drill_every_days",
        "Gate Drill Every (days)",
        0,
        "How often a clone and a sabotaged copy of the active tag test the gate; 0 is never.",
        within=(0, 365),
        unit="days",
    ),
    _promotion("promotion_hold", "Promotion Hold", False, "While on, nothing is evaluated or applied."),
)
SETTINGS: dict[str, Setting] = {setting.name: setting for setting in _ALL}


def names_of(group: Group) -> tuple[str, ...]:
    """The settings of one group, in the page's order."""
    return tuple(name for name, setting in SETTINGS.items() if setting.group == group)
