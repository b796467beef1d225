"""The newest campaign's progress, shown next to the form that makes campaigns."""

from __future__ import annotations

from dataclasses import dataclass

from training.campaigns import CampaignProgress, read_newest_progress


@dataclass(frozen=True, slots=True)
class CampaignPanel:
    """Campaign Progress; None before the first campaign."""

    campaign: CampaignProgress | None


def read_campaign_panel() -> CampaignPanel:
    """The newest campaign. One query."""
    return CampaignPanel(campaign=read_newest_progress())
