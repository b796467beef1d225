"""The rules for every record of a proof bundle; pure: no clock, no store, no network, no model.

The order of records allows to check each with the ones before it: settings, watched runs, outcomes, for every
evaluation its pairs, its verdict and its canary, then the live applies and the watches over them. Only tallies and the
watched runs are kept in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import isclose

from lealife.core.digest import digest_value
from promotion.gate import rule
from promotion.gate.error_budget import ALPHA_LIFE, gamma_for
from promotion.gate.harm import CanaryDecision, judge_canary
from promotion.gate.pairs import ArmErrors, ArmResult, Evidence, PairResult, compare_calls, judge_pair
from promotion.proof.bundle_outcomes import Body, count_outcome, find_counted_fault, find_excess, read_seconds
from promotion.proof.bundle_watches import CLOSE, WatchLedger

GENESIS = "0" * 64
KINDS = ("setting", "watched", "outcome", "pair", "verdict", "canary", "apply", "watch")
# How the reason of a verdict starts that does not follow from the evidence alone; the rest names what changed.
CHANGED = {"evaluation": "Changed during the evaluation: ", "canary": "Changed since the evaluation: "}
OVERTAKEN = "Passed, but not applied: "
STOPPED = "Stopped by "
_SCORES = {"wins–losses–ties": ("wins", "losses", "ties"), "fewer–more calls": ("fewer_calls", "more_calls")}


@dataclass(slots=True)
class ArmRecord:
    """An arm of a pair as the bundle holds it."""

    success: bool
    invalid: bool
    controller_calls: int


@dataclass(slots=True)
class PairTally:
    """The pairs of one evaluation so far."""

    wins: int = 0
    losses: int = 0
    ties: int = 0
    fewer_calls: int = 0
    more_calls: int = 0
    candidate_errors: int = 0
    baseline_errors: int = 0
    done: int = 0

    def add(self, *, candidate: ArmResult, baseline: ArmResult) -> PairResult:
        """Counts one pair and returns its result."""
        result = judge_pair(candidate=candidate, baseline=baseline)
        calls = compare_calls(candidate=candidate, baseline=baseline)
        self.wins += result is PairResult.WIN
        self.losses += result is PairResult.LOSS
        self.ties += result is PairResult.TIE
        self.fewer_calls += calls > 0
        self.more_calls += calls < 0
        self.candidate_errors += candidate.invalid
        self.baseline_errors += baseline.invalid
        self.done += 1
        return result


def rebuild_decision(verdict: Body, *, tally: PairTally) -> rule.Decision:
    """The gate's decision on the counted pairs, with the level, the budget and the changes that the verdict names.

    ValueError when the counts contradict each other.
    """
    return rule.decide(
        evidence=Evidence(tally.wins, tally.losses, tally.ties, tally.fewer_calls, tally.more_calls),
        pair_budget=verdict["pair_budget"],
        pairs_done=tally.done,
        alpha=verdict["alpha"],
        errors=ArmErrors(tally.candidate_errors, tally.baseline_errors),
        changed=_read_changes(verdict["reason"], CHANGED["evaluation"]),
    )


def find_verdict_fault(verdict: Body, *, decision: rule.Decision, tally: PairTally) -> str:
    """How the stored verdict differs from what the pairs give; empty when it agrees or there is no verdict yet."""
    if verdict["verdict"] == rule.Verdict.PENDING:
        return ""
    if verdict["verdict"] != decision.verdict:
        return f"the pairs give {decision.verdict.value}, stored is {verdict['verdict']}"
    for what, names in _SCORES.items():
        counted = tuple(getattr(tally, name) for name in names)
        stored = tuple(verdict[name] for name in names)
        if counted != stored:
            return f"the pairs give {_score(counted)} ({what}), stored is {_score(stored)}"
    for name in ("e_value", "e_cheaper"):
        if not isclose(getattr(decision, name), verdict[name], rel_tol=CLOSE):
            return f"the pairs give an {name} of {getattr(decision, name):.6g}, stored is {verdict[name]:.6g}"
    if decision.hypothesis != verdict["hypothesis"]:
        return f"the pairs speak for the hypothesis “{decision.hypothesis}”, stored is “{verdict['hypothesis']}”"
    if decision.reason != verdict["reason"]:
        return f"the pairs give the reason “{decision.reason}”, stored is “{verdict['reason']}”"
    return ""


def rebuild_canary(canary: Body, *, errors: int, timeouts: int) -> CanaryDecision:
    """The guardrail's decision on a closed canary's counts. ValueError when they contradict each other."""
    return judge_canary(
        candidate=(canary["candidate_successes"], canary["candidate_observations"]),
        baseline=(canary["baseline_successes"], canary["baseline_observations"]),
        errors=errors,
        timeouts=timeouts,
        min_observations=canary["min_observations"],
        changed=_read_changes(canary["reason"], CHANGED["canary"]),
        **read_seconds(canary),
    )


def find_canary_fault(canary: Body, *, tally: Mapping[str, int]) -> str:
    """How the stored canary differs from what its outcomes give; empty when it agrees or is open.

    Outcomes that arrive after a canary is closed carry its number but were not counted. So this checks whether some
    part of the outcomes, exactly as many as were counted, gives the stored verdict.
    """
    if canary["state"] == "open":
        return ""
    for name in ("candidate", "baseline"):
        if fault := find_excess(canary, name, tally=tally):
            return fault
    # One that was overtaken had passed: what it says now was found when it was to be applied. An operator's word can
    # end a canary, never pass one.
    if canary["state"] == "aborted" and canary["reason"].startswith((OVERTAKEN, STOPPED)):
        return ""
    wanted = {"passed": "pass", "aborted": "abort"}[canary["state"]]
    decision = None
    for errors, timeouts in _read_faults(canary, tally=tally):
        decision = rebuild_canary(canary, errors=errors, timeouts=timeouts)
        if decision.verdict == wanted and decision.reason == canary["reason"]:
            return ""
    if decision is None:
        return "its outcomes hold more errors than it counted failures"
    return f"the guardrail says “{decision.reason}” ({decision.verdict.value}), stored is “{canary['reason']}”"


@dataclass(slots=True)
class Ledger:
    """The state of a check after the records so far. Call `take` with each record in turn."""

    counts: Counter[str] = field(default_factory=Counter)
    alpha_spent: float = 0.0
    # The lifetime's alphas that the setting has had: the one at the export, and those its changes name.
    alphas: set[float] = field(default_factory=lambda: {ALPHA_LIFE})
    outcome_hash: str = GENESIS
    anchors: dict[int, str] = field(default_factory=dict)  # by length of the outcome chain then, its last hash
    _settings_version: int = 0
    _sealed: int = 0
    _outcome: int = 0
    _all_sealed: bool = True
    _canaries: dict[int, Counter[str]] = field(default_factory=dict)
    _evaluation: int | None = None
    _pair_index: int = -1
    _pairs: PairTally = field(default_factory=PairTally)
    _verdicts: dict[int, Body] = field(default_factory=dict)
    _candidates: int = 0
    _passed: dict[int, Body] = field(default_factory=dict)
    _applies: dict[int, Body] = field(default_factory=dict)
    _serving: dict[str, Body] = field(default_factory=dict)
    _watches: WatchLedger = field(default_factory=WatchLedger)
    _last_outcome: int = 0

    def take(self, kind: str, body: Body) -> str:
        """Adds one record; returns what is wrong with it, or "".

        Raises KeyError, TypeError or ValueError when the body does not fit its kind.
        """
        self.counts[kind] += 1
        if self._evaluation is not None and kind not in ("pair", "verdict"):
            return f"the pairs of evaluation {self._evaluation} are not followed by its verdict"
        check = {
            "setting": self._take_setting,
            "outcome": self._take_outcome,
            "pair": self._take_pair,
            "verdict": self._take_verdict,
            "canary": self._take_canary,
            "apply": self._take_apply,
            "watched": self._watches.take_watched,
            "watch": self._take_watch,
        }[kind]
        return check(body)

    def find_end_fault(self) -> str:
        """What is missing once all records are taken; empty when nothing is."""
        if self._evaluation is not None:
            return f"evaluation {self._evaluation} has no verdict"
        if self._sealed < (anchored := max(self.anchors, default=0)):
            return f"the chain is shorter than its anchor: {self._sealed:,} of {anchored:,} seals"
        return self._watches.find_end_fault()

    def _take_setting(self, body: Body) -> str:
        before, self._settings_version = self._settings_version, body["version"]
        if before and body["version"] != before + 1:
            return f"settings version {body['version']} follows version {before}"
        self.alphas.update(body["changes"].get("lifetime_alpha", ()))
        return ""

    def _take_outcome(self, body: Body) -> str:
        columns, row = body["columns"], body["row"]
        if fault := find_counted_fault(columns):
            return fault
        if columns["canary_id"] is not None:
            count_outcome(self._canaries.setdefault(columns["canary_id"], Counter()), columns)
        self._watches.count_outcome(columns)
        self._last_outcome = max(self._last_outcome, columns["id"])
        if row is None:
            follows = self._all_sealed or columns["id"] > self._outcome
            self._all_sealed, self._outcome = False, columns["id"]
            return "" if follows else "outcomes without a seal stand out of order"
        if not self._all_sealed or row != self._sealed + 1:
            return f"row {row} of the outcome chain does not follow row {self._sealed}"
        self._sealed = row
        self.outcome_hash = digest_value([self.outcome_hash, columns])
        return "" if self.outcome_hash == body["seal"] else f"its seal in row {row} of the outcome chain does not fit"

    def _take_pair(self, body: Body) -> str:
        if self._evaluation is None:
            self._evaluation, self._pair_index, self._pairs = body["evaluation"], -1, PairTally()
        if body["evaluation"] != self._evaluation:
            return f"it stands among the pairs of evaluation {self._evaluation}"
        if body["index"] <= self._pair_index:
            return f"it follows pair {self._pair_index}"
        self._pair_index = body["index"]
        candidate, baseline = (
            ArmRecord(*(body[arm][name] for name in ("success", "invalid", "calls")))
            for arm in ("candidate", "baseline")
        )
        result = self._pairs.add(candidate=candidate, baseline=baseline)
        return "" if result == body["result"] else f"its arms give a {result.value}, stored is {body['result']}"

    def _take_verdict(self, body: Body) -> str:
        tally = self._pairs if self._evaluation is not None else PairTally()
        if self._evaluation not in (None, body["id"]):
            return f"the pairs of evaluation {self._evaluation} stand before it"
        self._evaluation = None
        if body["id"] in self._verdicts:
            return "a second verdict on this evaluation"
        self._verdicts[body["id"]] = body
        fault = "" if body.get("drill") else self._spend_alpha(body)
        if fault:
            return fault
        return find_verdict_fault(body, decision=rebuild_decision(body, tally=tally), tally=tally)

    def _spend_alpha(self, body: Body) -> str:
        """Checks the level of an evaluation: a drill only reads it, a real candidate spends it."""
        before, self.alpha_spent = self.alpha_spent, self.alpha_spent + body["alpha"]
        self._candidates += 1
        number = body["candidate_number"]
        if number != self._candidates:
            return f"it is called candidate {number} of the error budget, and is number {self._candidates}"
        known = sorted(self.alphas)
        # Once the setting has been lowered, no more than what is left of it.
        levels = {level for alpha in known for level in (alpha * gamma_for(number), alpha - before)}
        given = sorted(level for level in levels if 0 < level <= max(known) * gamma_for(number))
        if not any(isclose(body["alpha"], level, rel_tol=CLOSE) for level in given):
            told = " or ".join(f"{level:.6g}" for level in given)
            return f"its alpha is {body['alpha']:.6g}, the error budget gives {told} to candidate {number}"
        if self.alpha_spent > max(known) * (1 + CLOSE):
            return f"the alphas so far sum to {self.alpha_spent:.6g}, more than the lifetime's {max(known):g}"
        return ""

    def _take_canary(self, body: Body) -> str:
        verdict = self._verdicts.get(body["evaluation"])
        if verdict is None or verdict["verdict"] != rule.Verdict.PROMOTE:
            return f"evaluation {body['evaluation']} did not promote its candidate"
        if verdict.get("drill"):
            return f"evaluation {body['evaluation']} was a drill: what it promotes goes nowhere"
        if body["role"] != verdict["role"]:
            return f"it is for the {body['role']} role, its evaluation for the {verdict['role']} role"
        if body["state"] == "passed":
            self._passed[body["id"]] = verdict
        return find_canary_fault(body, tally=self._canaries.get(body["id"], Counter()))

    def _take_apply(self, body: Body) -> str:
        before = self._serving.get(body["role"])
        fault = self._find_apply_fault(body, before=before)
        self._serving[body["role"]] = self._applies[body["id"]] = body
        return fault

    def _take_watch(self, body: Body) -> str:
        apply = self._applies.get(body["apply"])
        switched = apply is not None and self._serving[apply["role"]] is not apply
        return self._watches.take_watch(body, apply=apply, switched=switched)

    def _find_apply_fault(self, body: Body, *, before: Body | None) -> str:
        if before is not None and body["from"] != before["to"]:
            return f"it switches from a tag that apply {before['id']} had not made active"
        if body["canary"] is not None:
            verdict = self._passed.pop(body["canary"], None)
            if verdict is None:
                return f"canary {body['canary']} has not passed, or was applied before"
            if (body["role"], body["to"]["digest"]) != (verdict["role"], verdict["candidate_digest"]):
                return f"it makes another tag active than canary {body['canary']} tried"
            if body["from"]["digest"] != verdict["baseline_digest"]:
                return f"it replaces another tag than canary {body['canary']} was measured against"
            return ""
        if body["rolls_back"] is not None:
            undone = self._applies.get(body["rolls_back"])
            if undone is None or undone["role"] != body["role"] or undone["from"] != body["to"]:
                return f"it does not put back the tag that apply {body['rolls_back']} replaced"
            return self._watches.take_roll_back(body, undone=undone, last_outcome=self._last_outcome)
        if body["from"]["tag"] == body["to"]["tag"] and body["to"]["digest"]:
            # An adoption: a tag is named after its recipe, and another version of the server hashes it otherwise.
            return ""
        if before is not None or body["from"]["digest"]:
            return "it is neither a first routing, nor of a passed canary, nor a roll back, nor an adoption"
        return ""


def _read_changes(reason: str, opening: str) -> list[str]:
    """The changes that the stored reason names. They are not in the evidence and can only close, never promote."""
    return [reason.removeprefix(opening).removesuffix(".")] if reason.startswith(opening) else []


def _read_faults(canary: Body, *, tally: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    """The (errors, timeouts) that the counted part of the candidate's outcomes may have held, most first."""
    late = tally.get("candidate_observations", 0) - canary["candidate_observations"]
    failures = canary["candidate_observations"] - canary["candidate_successes"]
    found = (tally.get("errors", 0), tally.get("timeouts", 0))
    ranges = [range(min(each, failures), max(0, each - late) - 1, -1) for each in found]
    yield from ((errors, timeouts) for errors, timeouts in product(*ranges) if errors + timeouts <= failures)


def _score(counts: tuple[int, ...]) -> str:
    return "–".join(map(str, counts))
