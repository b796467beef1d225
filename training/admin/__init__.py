"""Admin of what happened: sources, campaigns, definitions and settings are edited; the rest is evidence."""

from training.admin import campaigns, control, definitions, evidence, sources

__all__ = ["campaigns", "control", "definitions", "evidence", "sources"]
