"""Admin of what happened: hosts, sources, campaigns and definitions are edited; runs and outcomes are evidence."""

from training.admin.campaigns import CampaignAdmin
from training.admin.control import RuntimeSettingsAdmin
from training.admin.definitions import TaskDefinitionAdmin
from training.admin.evidence import RunAdmin, TrainingOutcomeAdmin
from training.admin.hosts import HostAdmin
from training.admin.sources import TrainingSourceAdmin
from training.admin.verdicts import OperatorVerdictAdmin

__all__ = [
    "CampaignAdmin",
    "HostAdmin",
    "OperatorVerdictAdmin",
    "RunAdmin",
    "RuntimeSettingsAdmin",
    "TaskDefinitionAdmin",
    "TrainingOutcomeAdmin",
    "TrainingSourceAdmin",
]
