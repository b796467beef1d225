"""The training page: every panel from one set of readings."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from lealife.dashboard.campaign_panel import CampaignPanel, read_campaign_panel
from lealife.dashboard.controls_panel import ControlsPanel, build_controls_panel
from lealife.dashboard.cycles_panel import CyclesPanel, build_cycles_panel
from lealife.dashboard.headline_panel import HeadlinePanel, build_headline_panel
from lealife.dashboard.lanes_panel import LanesPanel, build_lanes_panel
from lealife.dashboard.pending_panel import PendingPanel, build_pending_panel
from lealife.dashboard.proof_panel import ProofPanel, build_proof_panel
from lealife.dashboard.readings import take_readings
from lealife.dashboard.relay_panel import RelayPanel, build_relay_panel
from lealife.dashboard.source_panel import SourcePanel, build_source_panel
from lealife.dashboard.state_panel import StatePanel, build_state_panel


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
        campaign=read_campaign_panel(),
        cycles=build_cycles_panel(readings),
        pending=pending,
        controls=build_controls_panel(readings),
        generated_at=now,
    )
