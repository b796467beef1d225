"""Admin of what happened: hosts, sources and campaigns are edited; runs and outcomes are evidence."""

from training.admin.campaigns import CampaignAdmin
from training.admin.control import RuntimeSettingsAdmin
from training.admin.evidence import RunAdmin, TrainingOutcomeAdmin
from training.admin.hosts import HostAdmin
from training.admin.sources import TrainingSourceAdmin

__all__ = [
    "CampaignAdmin",
    "HostAdmin",
    "RunAdmin",
    "RuntimeSettingsAdmin",
    "TrainingOutcomeAdmin",
    "TrainingSourceAdmin",
]
