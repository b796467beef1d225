"""Pairs: one frozen held-out task, done by the candidate and by the baseline, and what it says about the candidate.

Pure: no clock, no store, no randomness.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class PairResult(StrEnum):
    """What one pair says of the answers, from the candidate's side."""

    WIN = "win"
    LOSS = "loss"
    TIE = "tie"
    INVALID = "invalid"


class ArmResult(Protocol):
    """One tag on one task: did it succeed, in how many calls of the controller, and could it be asked at all?"""

    success: bool
    invalid: bool
    controller_calls: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Pairs that both arms finished, counted from the candidate's side.

    `fewer_calls` and `more_calls` are those ties in which both succeeded, the candidate with fewer or with more
    controller calls than the baseline.
    """

    wins: int = 0
    losses: int = 0
    ties: int = 0
    fewer_calls: int = 0
    more_calls: int = 0

    def __post_init__(self) -> None:
        if min(self.wins, self.losses, self.ties, self.fewer_calls, self.more_calls) < 0:
            raise ValueError("Wins, losses, ties and pairs that differ in calls cannot be negative.")
        if self.fewer_calls + self.more_calls > self.ties:
            raise ValueError("Only ties can be compared by their calls.")

    @property
    def pairs(self) -> int:
        """Finished pairs, ties included."""
        return self.wins + self.losses + self.ties

    @property
    def score(self) -> str:
        """The answers in words: "7 wins, 0 losses, 12 ties"."""
        return f"{say_count(self.wins, 'win')}, {say_count(self.losses, 'loss')}, {say_count(self.ties, 'tie')}"

    @property
    def calls(self) -> str:
        """The calls in words: "fewer calls in 8 pairs, more in 1"."""
        if not self.fewer_calls + self.more_calls:
            return "calls never differed"
        return f"fewer calls in {say_count(self.fewer_calls, 'pair')}, more in {self.more_calls}"


@dataclass(frozen=True, slots=True)
class ArmErrors:
    """Pairs lost to a technical error (model gone, worker lost, time out), by arm.

    A pair with an error in an arm is no evidence. A pair in which both arms erred counts in both.
    """

    candidate: int = 0
    baseline: int = 0

    def __post_init__(self) -> None:
        if min(self.candidate, self.baseline) < 0:
            raise ValueError("Errors cannot be negative.")


def judge_pair(*, candidate: ArmResult, baseline: ArmResult) -> PairResult:
    """Only a pair whose arms differ is a win or a loss; an arm that could not be asked carries no evidence."""
    if candidate.invalid or baseline.invalid:
        return PairResult.INVALID
    if candidate.success == baseline.success:
        return PairResult.TIE
    return PairResult.WIN if candidate.success else PairResult.LOSS


def compare_calls(*, candidate: ArmResult, baseline: ArmResult) -> int:
    """1 when both arms succeeded and the candidate needed fewer controller calls, -1 for more, else 0."""
    if not (candidate.success and baseline.success) or candidate.invalid or baseline.invalid:
        return 0
    saved = baseline.controller_calls - candidate.controller_calls
    return (saved > 0) - (saved < 0)


def say_count(number: int, noun: str) -> str:
    """ "1 win", "2 wins", "2 losses"."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}es" if noun.endswith("ss") else f"{number} {noun}s"
