"""The rules of a proof bundle for single outcomes; pure, like the other rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
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
