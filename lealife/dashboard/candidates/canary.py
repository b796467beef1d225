"""A canary as pages show it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from promotion.models import Canary


@dataclass(frozen=True, slots=True)
class CanaryView:
    """A canary's share, in percent, and its observations in both arms; `reason` once it has ended."""

    state: str
    share_percent: int
    min_observations: int
    candidate_successes: int
    candidate_observations: int
    baseline_successes: int
    baseline_observations: int
    deadline_at: datetime
    reason: str

    @property
    def is_open(self) -> bool:
        """Whether runs are still drawn for it."""
        return self.state == Canary.State.OPEN


def view_canary(canary: Canary | None) -> CanaryView | None:
    """The canary as a frozen value."""
    if canary is None:
        return None
    return CanaryView(
        state=str(canary.state),
        share_percent=canary.share_percent,
        min_observations=canary.min_observations,
        candidate_successes=canary.candidate_successes,
        candidate_observations=canary.candidate_observations,
        baseline_successes=canary.baseline_successes,
        baseline_observations=canary.baseline_observations,
        deadline_at=canary.deadline_at,
        reason=canary.reason,
    )
