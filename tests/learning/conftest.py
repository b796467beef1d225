"""The same hosts, clock and races as the tests of training have."""

from __future__ import annotations

from tests.training.conftest import host, race, settle, silent

__all__ = ["host", "race", "settle", "silent"]
