"""The newest campaign's progress, beside the form that makes campaigns."""

from __future__ import annotations

from dataclasses import dataclass

from training.campaigns import CampaignProgress, read_progress
from training.models import Campaign


@dataclass(frozen=True, slots=True)
class CampaignPanel:
    """Campaign Progress; None before the first campaign."""

    campaign: CampaignProgress | None


def read_campaign_panel() -> CampaignPanel:
    """The newest campaign. One query without campaigns, four with."""
    newest = Campaign.objects.order_by("-id").values_list("id", flat=True).first()
    return CampaignPanel(campaign=read_progress(newest) if newest else None)
