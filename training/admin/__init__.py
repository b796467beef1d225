"""Admin of what happened: hosts, sources, campaigns and definitions are edited; runs and outcomes are evidence."""

from training.admin import campaigns, control, definitions, evidence, hosts, sources

__all__ = ["campaigns", "control", "definitions", "evidence", "hosts", "sources"]
