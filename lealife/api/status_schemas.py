"""Where training and promotion stand, as the API gives it: counts, states and times, one section for each subject.

Words that only a page needs are left out: labels, hints, and what each setting means (`/training/settings`).
"""

from __future__ import annotations

from datetime import datetime

from ninja import Schema
from pydantic import Field

from lealife.api.tag_schemas import CheckedOut, LiveTagOut
from lealife.health import Health
from promotion.evaluation.gain import Gain
from training.campaigns import CampaignProgress


class SwitchOut(Schema):
    """A switch of the serving tag; `passed_gate` is false for a rollback, and `gain`, what it was worth, null."""

    id: int
    role: str
    from_tag: str | None
    to_tag: str
    from_digest: str
    to_digest: str
    at: datetime
    by: str
    reason: str
    passed_gate: bool
    gain: Gain | None


class CanaryOut(Schema):
    """A canary's share, in percent, and its observations in both arms; `reason` once it has ended."""

    state: str
    share_percent: int
    min_observations: int
    candidate_successes: int
    candidate_observations: int
    baseline_successes: int
    baseline_observations: int
    deadline_at: datetime
    reason: str


class HypothesisOut(Schema):
    """One of the two hypotheses that may promote a candidate: its counts in words, its e-value and its bar."""

    name: str
    score: str
    e_value: float
    threshold: float
    promoted: bool


class CandidateOut(Schema):
    """The candidate under evaluation; qualities are successes over pairs, in [0, 1], null before the first pair.

    `e_value` and `threshold` are those of the hypothesis *better*; `hypothesis` is the one that promoted it.
    """

    evaluation_id: int
    tag: str
    role: str
    state: str
    verdict: str
    hypothesis: str
    is_open: bool
    wins: int
    losses: int
    ties: int
    pairs: int
    pair_budget: int
    e_value: float
    threshold: float
    hypotheses: list[HypothesisOut]
    candidate_quality: float | None
    baseline_quality: float | None
    missing: str
    summary: str
    canary: CanaryOut | None


class ServedOut(Schema):
    """Whether the latest live outcomes of one role carry the digest that routing claims."""

    role: str
    tag: str
    digest: str
    expected_since: datetime | None
    checked: int
    matching: int
    needed: int
    state: str
    sentence: str
    wrong_outcome_id: int | None


class ProofOut(Schema):
    """What is live, whether it is proven, and what promotion waits for."""

    state: str = Field(alias="window.state")
    window: int = Field(alias="window.number")
    percent: int = Field(alias="window.percent")
    in_window: int = Field(alias="window.in_window")
    window_size: int = Field(alias="window.size")
    until_next: int = Field(alias="window.until_next")
    sentence: str = Field(alias="window.sentence")
    next_action: str
    reason: str = Field(alias="window.reason")
    successes: int = Field(alias="window.successes")
    counted: str = Field(alias="window.counted", description="Which successes count: verified, or supported ones too.")
    watermark: int = Field(alias="window.watermark")
    next_target: int = Field(alias="window.next_target")
    delta_since_watermark: int
    attempts: int = Field(alias="window.attempts")
    unbiased_rate: float | None = Field(alias="window.unbiased_rate")
    live_applies: int
    promotion_worker: str
    controller: LiveTagOut | None
    task: LiveTagOut | None
    candidate: CandidateOut | None
    last_apply: SwitchOut | None
    last_evaluation_at: datetime | None = Field(alias="window.last_evaluation_at")
    threshold_reached_at: datetime | None = Field(alias="window.last_reached_at")
    pending: str
    recent_successes: int = Field(alias="recent.successes")
    recent_total: int = Field(alias="recent.total")
    recent_percent: int | None = Field(alias="recent.percent")
    configured: list[LiveTagOut]
    unused: list[LiveTagOut]
    unused_count: int
    keep: int
    checked: CheckedOut | None
    outcomes_total: int
    outcomes_success: int
    outcomes_failure: int
    served: list[ServedOut] = Field(alias="served.roles")
    served_state: str = Field(alias="served.state")
    served_sentence: str = Field(alias="served.sentence")
    generated_at: datetime


class StateOut(Schema):
    """Whether training runs, its recent success, and which runs use the slots; `recent_*`: the newest 100 outcomes."""

    loop_state: str
    loop_reason: str
    enabled: bool
    last_launch_at: datetime | None
    recent_successes: int = Field(alias="recent.successes")
    recent_total: int = Field(alias="recent.total")
    recent_percent: int | None = Field(alias="recent.percent")
    queue_pending: int = Field(alias="waiting.queue")
    curriculum_pending: int = Field(alias="waiting.curriculum")
    hosts: int = Field(alias="waiting.hosts")
    running_total: int = Field(alias="slots.running_total")
    running_training: int = Field(alias="slots.running_training")
    training_max: int = Field(alias="slots.training_cap")
    training_cap_note: str = Field(alias="slots.cap_note")
    running_non_training: int = Field(alias="slots.running_non_training")
    health: Health


class DefinitionCountOut(Schema):
    """A saved task definition, and how many of its sources wait."""

    id: int
    title: str
    state: str
    pending: int


class LanesOut(Schema):
    """What is trained on, in which order, and what waits; counts are pending sources."""

    lane_mode: str
    current_source_kind: str
    curriculum_fallback: bool
    campaign_lock: bool
    host_lock: str
    definitions: list[DefinitionCountOut]
    pending_all: int = Field(alias="waiting.queue")
    pending_training_ui: int = Field(alias="waiting.queue_training_ui")
    pending_other: int = Field(alias="waiting.queue_other")
    pending_curriculum: int = Field(alias="waiting.curriculum")


class RelayOut(Schema):
    """From source to outcome to memory; 30-minute counts read at most 2,000 rows (`*_capped` says so)."""

    state: str
    sentence: str
    consumed_30m: int
    consumed_capped: bool
    ingested_30m: int
    ingested_capped: bool
    backlog: int
    running_training: int = Field(alias="slots.running_training")
    running_standard: int
    task_tag: str | None
    latest_success_title: str | None = Field(alias="latest_success.title")
    latest_success_run: int | None = Field(alias="latest_success.run_id")
    latest_success_at: datetime | None = Field(alias="latest_success.created_at")


class RunningOut(Schema):
    """A source that is executing."""

    run_id: int
    source_id: int
    kind: str
    title: str
    host: str
    lane: str
    controller_tag: str
    started_at: datetime


class NextOut(Schema):
    """The source that the next claim would take."""

    source_id: int
    kind: str
    title: str
    host: str
    prompt: str


class LiveSourceOut(Schema):
    """What is trained right now, what is next, and whether the stored outcomes are as they were written."""

    running: list[RunningOut]
    selection_mode: str
    next: NextOut | None
    next_sentence: str
    storage_state: str
    storage_sentence: str


class CampaignPartOut(Schema):
    """The newest campaign's progress; null before the first."""

    campaign: CampaignProgress | None


class CycleOut(Schema):
    """One cycle; duration in milliseconds, null while it runs.

    `state`: how sure the answer of a success is; of any other cycle its status.
    """

    id: int
    run_id: int
    title: str
    host: str
    kind: str
    lane: str
    controller_tag: str
    task_tag: str
    status: str
    state: str
    error_code: str
    error: str
    verifier: str
    pages: int
    controller_calls: int
    duration_ms: int | None
    opened_at: datetime
    finished_at: datetime | None


class CyclesOut(Schema):
    """The newest cycles, newest first, of `total`."""

    rows: list[CycleOut]
    total: int


class WaitingOut(Schema):
    """A source that waits."""

    id: int
    kind: str
    status: str
    title: str
    host: str
    queued_from: str
    queued_by: str
    priority: int
    failed_attempts: int
    not_before: datetime | None
    created_at: datetime


class PendingOut(Schema):
    """The heads of both queues, ten each at most, and how many sources wait in each."""

    queue: list[WaitingOut]
    queue_total: int
    curriculum: list[WaitingOut]
    curriculum_total: int
    retry_budget: int


class ControlsOut(Schema):
    """Who last started or stopped training, which settings run, and how many training runs they leave room for."""

    enabled: bool
    enabled_changed_at: datetime | None
    enabled_changed_by: str
    version: int
    updated_at: datetime
    updated_by: str
    training_ceiling: int = Field(alias="slots.training_ceiling")


class StatusOut(Schema):
    """Where training and promotion stand at one moment."""

    proof: ProofOut
    state: StateOut
    lanes: LanesOut
    relay: RelayOut
    source: LiveSourceOut
    campaign: CampaignPartOut
    cycles: CyclesOut
    pending: PendingOut
    controls: ControlsOut
    generated_at: datetime
