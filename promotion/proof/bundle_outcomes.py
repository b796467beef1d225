"""The rules of a proof bundle for outcomes and what was counted of them; pure, like the other rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from promotion.gate.harm import ERRORS, TIMEOUTS

Body = Mapping[str, Any]
_DIGESTS = (("served_controller_digest", "controller_digest"), ("served_task_digest", "task_digest"))
# The columns of an outcome that are looked at.
COUNTED = ("lane", "success", "error_code", *(name for names in _DIGESTS for name in names))


def count_outcome(tally: Counter[str], outcome: Body) -> None:
    """Adds one outcome of a canary to its arm's tally, unless another digest served it than the promised one."""
    if any(outcome[served] not in ("", outcome[promised]) for served, promised in _DIGESTS):
        return
    candidate = outcome["lane"] == "canary"
    arm = "candidate" if candidate else "baseline"
    tally[f"{arm}_observations"] += 1
    tally[f"{arm}_successes"] += bool(outcome["success"])
    tally["errors"] += candidate and outcome["error_code"] in ERRORS
    tally["timeouts"] += candidate and outcome["error_code"] in TIMEOUTS


def find_counted_fault(outcome: Body) -> str:
    """How what an outcome counts as contradicts how it ended; empty when it agrees.

    A verified success counts and a failure never does. Whether a supported success counts was the setting's to say
    when the outcome was written: what it says itself holds, whatever the setting has become.
    """
    if "is_counted" not in outcome:
        return ""  # Bundles of older versions do not have it.
    state = outcome["answer_state"] if outcome["success"] else ""
    if state == "supported" or outcome["is_counted"] == (state == "verified"):
        return ""
    return "it counts without being a sure success" if outcome["is_counted"] else "it is verified and does not count"


def find_excess(stored: Body, arm: str, *, tally: Mapping[str, int]) -> str:
    """What an arm counted beyond what its outcomes give; empty when it did not.

    Outcomes may arrive after the counting ended, so it may have counted fewer than they give, never more.
    """
    counted, won = stored[f"{arm}_observations"], stored[f"{arm}_successes"]
    seen, seen_won = tally.get(f"{arm}_observations", 0), tally.get(f"{arm}_successes", 0)
    if counted <= seen and won <= seen_won and counted - won <= seen - seen_won:
        return ""
    return f"it counted {won} of {counted} in the {arm} arm, its outcomes give {seen_won} of {seen}"


def read_seconds(stored: Body) -> dict[str, float]:
    """How long a closed canary or watch was open, and how long it might have been."""
    opened, closed, deadline = (
        datetime.fromisoformat(stored[name]) for name in ("opened_at", "closed_at", "deadline_at")
    )
    return {"elapsed_s": (closed - opened).total_seconds(), "deadline_s": (deadline - opened).total_seconds()}
