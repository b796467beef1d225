"""The rules of a proof bundle for watches, held-back runs and automatic roll backs; pure, like the other rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isclose

from promotion.gate.harm import WatchDecision, WatchVerdict, judge_watch
from promotion.proof.bundle_outcomes import Body, find_excess, read_seconds

# How the reason starts of a roll back by the gate, and of a watch that a switch ended early.
AUTOMATIC = "Automatic roll back. "
SWITCHED = "Ended by the next switch: "
STATES = {WatchVerdict.HARM: "harmed", WatchVerdict.CLEAR: "cleared", WatchVerdict.SHORT: "ended"}
COUNTED = ("applied_successes", "applied_observations", "held_successes", "held_observations")
# Tolerance: e-values and levels come from the mathematical library, whose last digit differs between machines.
CLOSE = 1e-9


def rebuild_watch(watch: Body) -> WatchDecision:
    """The guardrail's decision on a closed watch's counts. ValueError when they contradict each other."""
    return judge_watch(
        applied=(watch["applied_successes"], watch["applied_observations"]),
        held=(watch["held_successes"], watch["held_observations"]),
        wanted_observations=watch["wanted_observations"],
        **read_seconds(watch),
    )


def find_watch_fault(watch: Body, *, tally: Mapping[str, int]) -> str:
    """How the stored watch differs from what its outcomes give; empty when it agrees or is open."""
    if watch["state"] == "open":
        return ""
    for arm in ("applied", "held"):
        if fault := find_excess(watch, arm, tally=tally):
            return fault
    if watch["state"] == "ended" and watch["reason"].startswith(SWITCHED):
        return ""
    decision = rebuild_watch(watch)
    if STATES.get(decision.verdict) != watch["state"] or decision.reason != watch["reason"]:
        return f"the guardrail says “{decision.reason}” ({decision.verdict.value}), stored is “{watch['reason']}”"
    if not isclose(decision.e_harm, watch["e_harm"], rel_tol=CLOSE):
        return f"its counts give an e-value of {decision.e_harm:.6g}, stored is {watch['e_harm']:.6g}"
    return ""


@dataclass(slots=True)
class WatchLedger:
    """The tallies of watched runs, their outcomes, applies and watches. Only watched runs are kept in memory."""

    _arms: dict[int, list[tuple[int, bool]]] = field(default_factory=dict)
    _tallies: dict[int, Counter[str]] = field(default_factory=dict)
    _promised: dict[tuple[int, bool, str], set[str]] = field(default_factory=dict)
    _due: dict[int, Body] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)

    def take_watched(self, body: Body) -> str:
        """Adds one run that began under a watch."""
        arms = self._arms.setdefault(body["run"], [])
        if any(watch == body["watch"] for watch, _ in arms):
            return f"a second arm for run {body['run']} of watch {body['watch']}"
        arms.append((body["watch"], body["held_back"]))
        self._tallies.setdefault(body["watch"], Counter())
        return ""

    def count_outcome(self, columns: Body) -> None:
        """Adds an outcome to the watches that its run began under."""
        for watch, held_back in self._arms.get(columns.get("run_id", 0), ()):
            arm = "held" if held_back else "applied"
            tally = self._tallies[watch]
            tally[f"{arm}_observations"] += 1
            tally[f"{arm}_successes"] += bool(columns["success"])
            for role in ("controller", "task"):
                # A run that died before it got its tags was promised none.
                if promised := columns[f"{role}_digest"]:
                    self._promised.setdefault((watch, held_back, role), set()).add(promised)

    def take_roll_back(self, body: Body, *, undone: Body, last_outcome: int) -> str:
        """Notes the claim of an automatic roll back. A watch must show harm, or an outcome another digest."""
        if body["by"] != "gate":
            return ""
        if not body["reason"].startswith(AUTOMATIC):
            return "the gate rolled back without saying why it may"
        claim = body["reason"].removeprefix(AUTOMATIC)
        if claim.startswith("Harm: "):
            self._due[undone["id"]] = body
            return ""
        words = claim.split()
        named = int(words[1]) if words[:1] == ["Outcome"] and len(words) > 1 and words[1].isdigit() else 0
        if not undone["after_outcome"] < named <= last_outcome:
            return "it names neither harm nor an outcome that came after the apply it undoes"
        return ""

    def take_watch(self, body: Body, *, apply: Body | None, switched: bool) -> str:
        """Adds one watch; `apply` is what it watched, `switched` whether another switch followed."""
        if body["apply"] in self._seen:
            return f"a second watch over apply {body['apply']}"
        self._seen.add(body["apply"])
        if apply is None or apply["canary"] is None or apply["role"] != body["role"]:
            return f"apply {body['apply']} is no apply of a canary in the {body['role']} role"
        for held_back, promised in ((True, apply["from"]), (False, apply["to"])):
            found = self._promised.get((body["id"], held_back, body["role"]), set())
            if strange := found - {promised["digest"]}:
                arm = "held back" if held_back else "not held back"
                return f"a run that was {arm} was promised {min(strange)}, not {promised['digest']}"
        if body["reason"].startswith(SWITCHED) and not switched:
            return "no switch followed that could have ended it"
        due = self._due.pop(body["apply"], None)
        if due is not None and (body["state"], AUTOMATIC + body["reason"]) != ("harmed", due["reason"]):
            return f"it does not say what apply {due['id']} rolled back for"
        return find_watch_fault(body, tally=self._tallies.pop(body["id"], Counter()))

    def find_end_fault(self) -> str:
        """What is missing once all records are taken; empty when nothing is."""
        if self._due:
            return f"no watch bears out the harm that apply {min(due['id'] for due in self._due.values())} names"
        return f"watch {min(self._tallies)}, which runs began under, is missing" if self._tallies else ""
