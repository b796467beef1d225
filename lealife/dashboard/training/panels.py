"""The training page: every panel from one set of readings."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from lealife.dashboard.readings import take_readings
from lealife.dashboard.training.controls import ControlsPanel, build_controls_panel
from lealife.dashboard.training.cycles import CyclesPanel, SourcePanel, build_cycles_panel, build_source_panel
from lealife.dashboard.training.headline import HeadlinePanel, StatePanel, build_headline_panel, build_state_panel
from lealife.dashboard.training.lanes import LanesPanel, build_lanes_panel
from lealife.dashboard.training.proof import ProofPanel, build_proof_panel
from lealife.dashboard.training.relay import RelayPanel, build_relay_panel
from lealife.dashboard.training.sources import PendingPanel, build_pending_panel
from training.campaigns import CampaignProgress, read_newest_progress


@dataclass(frozen=True, slots=True)
class CampaignPanel:
    """Campaign Progress; None before the first campaign."""

    campaign: CampaignProgress | None


@dataclass(frozen=True, slots=True)
class TrainingPage:
    """The panels of `/training/`, in the order of the page."""

    headline: HeadlinePanel
    proof: ProofPanel
    state: StatePanel
    lanes: LanesPanel
    relay: RelayPanel
    source: SourcePanel
    campaign: CampaignPanel
    cycles: CyclesPanel
    pending: PendingPanel
    controls: ControlsPanel
    generated_at: datetime = field(metadata={"volatile": True})


def build_training_page(*, now: datetime) -> TrainingPage:
    """Reads and builds all panels at `now` (aware UTC), at a cost that does not grow with history."""
    readings = take_readings(now=now)
    vitals = readings.vitals
    pending = build_pending_panel(readings)
    return TrainingPage(
        headline=build_headline_panel(vitals),
        proof=build_proof_panel(readings),
        state=build_state_panel(vitals),
        lanes=build_lanes_panel(readings, queued=pending.queue),
        relay=build_relay_panel(vitals),
        source=build_source_panel(readings),
        campaign=CampaignPanel(read_newest_progress()),
        cycles=build_cycles_panel(readings),
        pending=pending,
        controls=build_controls_panel(readings),
        generated_at=now,
    )
