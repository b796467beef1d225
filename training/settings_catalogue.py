"""What each runtime setting is: label, unit, bounds, first default and meaning, said here and nowhere else.

The model's fields are built from it; the page, the API's schema and refusals read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

WHOLE, NUMBER, SWITCH, CHOICE = "whole", "number", "switch", "choice"


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


def _whole(name: str, label: str, group: Group, default: int, least: int, most: int, unit: str, hint: str) -> Setting:
    return Setting(
        name=name, label=label, group=group, kind=WHOLE, default=default, least=least, most=most, unit=unit, hint=hint
    )


def _switch(name: str, label: str, group: Group, default: bool, hint: str) -> Setting:
    return Setting(name=name, label=label, group=group, kind=SWITCH, default=default, hint=hint)


_ALL = (
    _whole(
        "training_max_active_runs",
        "Training Max Active Runs",
        Group.TRAINING,
        2,
        0,
        1000,
        "runs",
        "Training-only cap: limits active training cycles, not total runtime runs.",
    ),
    Setting(
        name="loop_interval_s",
        label="Loop Interval (s)",
        group=Group.TRAINING,
        kind=NUMBER,
        default=1.0,
        least=0.05,
        most=3600,
        unit="seconds",
        hint="Delay between scheduler ticks when capacity is available. Values above half of the coordinator's lease "
        "have no further effect, because the leader must renew it in time.",
    ),
    _whole(
        "recent_host_window",
        "Recent Host Window",
        Group.TRAINING,
        2,
        0,
        1000,
        "hosts",
        "Host dedupe window used to diversify training source selection.",
    ),
    _whole(
        "retry_budget",
        "Retry Budget / Source",
        Group.TRAINING,
        3,
        1,
        100,
        "failed attempts",
        "Max failed attempts allowed per training source before disablement.",
    ),
    _whole(
        "default_pages_target",
        "Default Pages Target",
        Group.TRAINING,
        3,
        1,
        50,
        "pages",
        "Default page-count target only when prompt does not explicitly set one.",
    ),
    _switch(
        "curriculum_fallback",
        "Curriculum Fallback",
        Group.TRAINING,
        True,
        "Whether curriculum sources are allowed when operator queue is empty.",
    ),
    Setting(
        name="source_lane_mode",
        label="Source Lane Mode",
        group=Group.TRAINING,
        kind=CHOICE,
        default="hybrid",
        choices=(("hybrid", "Hybrid"), ("queued_only", "Queued Only"), ("automatic_only", "Automatic Only")),
        hint="Hybrid = queue first then curriculum fallback. Queued Only = queue only. "
        "Automatic Only = curriculum only.",
    ),
    _switch(
        "campaign_lock",
        "Campaign Lock Mode",
        Group.TRAINING,
        False,
        "When enabled, campaign queue selection is locked to keep training intake stable.",
    ),
    _whole(
        "global_max_concurrent_runs",
        "Global Max Concurrent Runs",
        Group.EVERY_TASK,
        4,
        1,
        1000,
        "runs",
        "Hard upper limit for all simultaneously running runs in the system.",
    ),
    _whole(
        "reserved_control_slots",
        "Reserved Control Slots",
        Group.EVERY_TASK,
        1,
        0,
        1000,
        "runs",
        "Slots reserved for non-training control-plane work (self-improve/model-promotion/canary).",
    ),
    _whole(
        "controller_max_calls",
        "Controller Max Calls / Run",
        Group.EVERY_TASK,
        5,
        1,
        100,
        "calls a run",
        "How many controller-model URL-pick calls are allowed per run.",
    ),
    Setting(
        name="browser_engine",
        label="Browser Engine (Global)",
        group=Group.EVERY_TASK,
        kind=CHOICE,
        default="http",
        choices=(("http", "http"), ("chromium", "chromium")),
        hint="What fetches pages: a plain HTTP client, or a Chromium that runs the pages' scripts.",
    ),
    _switch(
        "browser_headful",
        "Browser Headful (Global)",
        Group.EVERY_TASK,
        False,
        "Whether browser sessions render with visible UI windows.",
    ),
    _switch(
        "browser_autostart",
        "Browser Autostart (Global)",
        Group.EVERY_TASK,
        False,
        "Whether browser sessions are auto-launched for run execution.",
    ),
    _whole(
        "window_size",
        "Window Size",
        Group.PROMOTION,
        30,
        2,
        10_000,
        "successes that count",
        "Ingested verified successes between two evaluations; supported ones too while Count Supported Answers is on.",
    ),
    _switch(
        "count_supported",
        "Count Supported Answers",
        Group.PROMOTION,
        False,
        "While on, an answer that only its quote supports counts like one that a check found right: it fills windows, "
        "and memory and exemplars trust it. Outcomes written before a change keep what they counted.",
    ),
    _whole(
        "evaluation_pairs",
        "Evaluation Pairs",
        Group.PROMOTION,
        300,
        4,
        5000,
        "pairs",
        "The most pairs that one evaluation may run.",
    ),
    _whole(
        "canary_share_percent",
        "Canary Share",
        Group.PROMOTION,
        20,
        1,
        90,
        "percent",
        "Share of training runs that a canary serves, in percent.",
    ),
    _whole(
        "canary_min_observations",
        "Canary Minimum",
        Group.PROMOTION,
        20,
        1,
        10_000,
        "outcomes",
        "Outcomes needed in both arms before a canary may pass.",
    ),
    _whole(
        "canary_deadline_s",
        "Canary Deadline (s)",
        Group.PROMOTION,
        3600,
        10,
        604_800,
        "seconds",
        "After this many seconds, a canary without enough observations is aborted.",
    ),
    _switch(
        "canary_ramp",
        "Canary Ramp",
        Group.PROMOTION,
        False,
        "While on, a canary starts with a quarter of its share, and all of it after a quarter of its outcomes.",
    ),
    _whole(
        "hold_back_percent",
        "Hold-back Share",
        Group.PROMOTION,
        10,
        0,
        50,
        "percent",
        "Share of training runs that the previous tag still serves while an apply is watched; 0: no watch.",
    ),
    _whole(
        "watch_observations",
        "Watch Observations",
        Group.PROMOTION,
        20,
        1,
        10_000,
        "outcomes",
        "Outcomes in both arms after which the watch over a live apply ends.",
    ),
    _whole(
        "watch_deadline_s",
        "Watch Deadline (s)",
        Group.PROMOTION,
        21_600,
        10,
        604_800,
        "seconds",
        "After this many seconds, the watch over a live apply ends, whatever it has seen.",
    ),
    _switch(
        "auto_rollback",
        "Automatic Roll Back",
        Group.PROMOTION,
        True,
        "While on, a red proof, or harm found after an apply, makes the previous tag active again.",
    ),
    Setting(
        name="lifetime_alpha",
        label="Lifetime Alpha",
        group=Group.PROMOTION,
        kind=NUMBER,
        default=0.05,
        least=0.0001,
        most=0.5,
        unit="chance of any false promotion",
        hint="Error budget of all candidates together, over the whole lifetime.",
    ),
    _whole(
        "drill_every_days",
        "Gate Drill Every (days)",
        Group.PROMOTION,
        0,
        0,
        365,
        "days",
        "How often a clone and a sabotaged copy of the active tag test the gate; 0 is never.",
    ),
    _switch("promotion_hold", "Promotion Hold", Group.PROMOTION, False, "While on, nothing is evaluated or applied."),
)
SETTINGS: dict[str, Setting] = {setting.name: setting for setting in _ALL}


def names_of(group: Group) -> tuple[str, ...]:
    """The settings of one group, in the page's order."""
    return tuple(name for name, setting in SETTINGS.items() if setting.group == group)
