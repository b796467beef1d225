"""The tables of what happened."""

# ruff: noqa: F401  imported from here, and found here by Django

from training.models.control import (
    AuditEntry,
    Coordinator,
    CounterSlot,
    ModelServerFault,
    RuntimeSettings,
    RuntimeSettingsChange,
    WorkerHeartbeat,
)
from training.models.definitions import TaskDefinition
from training.models.hosts import Host, HostTurn
from training.models.outcomes import ChainAnchor, ChainCheck, OutcomeSeal, TrainingOutcome
from training.models.runs import PageSnapshot, Run, Step, TrainingCycle
from training.models.sources import Campaign, TrainingSource
from training.models.verdicts import OperatorVerdict
