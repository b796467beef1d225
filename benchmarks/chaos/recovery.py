"""Recovery: how long work waited that a killed process held, and how long the loop had no leader."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.chaos.crowd import Kill
from benchmarks.chaos.effects import EffectLog
from training.agent.errors import ErrorCode
from training.coordinator import read_coordinator
from training.models import Run, TrainingCycle


@dataclass(frozen=True, slots=True)
class Wait:
    """From a kill until what the killed process held had a holder again, in seconds since 1970."""

    what: str
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.ended - self.began


def read_held(kill: Kill) -> list[int]:
    """The runs that a process holds, read right after its death."""
    return list(Run.objects.open().filter(claimed_by=kill.name).values_list("pk", flat=True))


@dataclass(frozen=True, slots=True)
class Tick:
    """One turn of the loop by its leader; `ended` is infinite when the leader was killed in it."""

    holder: str
    began: float
    ended: float


def read_ticks(log: EffectLog) -> list[Tick]:
    """All ticks in the order they began."""
    ends: dict[str, list[float]] = defaultdict(list)
    for entry in log.read_events("ticked"):
        ends[entry["holder"]].append(entry["at"])
    ticks = []
    for entry in log.read_events("tick"):
        holder, waiting = entry["holder"], ends[entry["holder"]]
        # A process ticks one turn after the other: only its last one can lack an end.
        ticks.append(Tick(holder, entry["at"], waiting.pop(0) if waiting else math.inf))
    return ticks


def measure_longest_tick(ticks: Sequence[Tick]) -> float:
    """The longest time from one tick's beginning to the next one's end, of the same leader in one go, in seconds.

    What lapses right after the first has looked is claimed before the second has ended.
    """
    pairs = (pair for pair in pairwise(ticks) if pair[0].holder == pair[1].holder)
    return max((second.ended - first.began for first, second in pairs if second.ended < math.inf), default=0.0)


def measure_leaderless(leaders: Sequence[Kill], ticks: Sequence[Tick]) -> list[Wait]:
    """For each killed leader: until another coordinator ticked, or had taken the lead and was killed as well."""
    waits = []
    for kill in leaders:
        after = [tick.began for tick in ticks if tick.began > kill.at and tick.holder != kill.name]
        after += [other.at for other in leaders if other.at > kill.at]
        waits.append(Wait(kill.name, kill.at, min(after, default=math.inf)))
    return waits


def has_led(kill: Kill) -> bool:
    """Whether a killed process holds the coordinator's lease, read right after its death."""
    row = read_coordinator()
    return row.holder == kill.name and row.lease_until is not None


def measure_reclaims(held: Mapping[int, Kill]) -> list[Wait]:
    """For each run that died with its worker: until its source was claimed again."""
    waits = []
    lost = TrainingCycle.objects.filter(run_id__in=held, outcome__error_code=ErrorCode.WORKER_LOST)
    for cycle in lost:
        following = TrainingCycle.objects.filter(source_id=cycle.source_id, pk__gt=cycle.pk).order_by("pk").first()
        ended = following.opened_at.timestamp() if following else math.inf
        waits.append(Wait(f"source {cycle.source_id}", held[cycle.run_id].at, ended))
    return waits


def subtract(waits: Iterable[Wait], away: Sequence[Wait]) -> list[float]:
    """The lengths of `waits` without the time that lies in `away`, in seconds."""
    lengths = []
    for wait in waits:
        spans = sorted((max(wait.began, gap.began), min(wait.ended, gap.ended)) for gap in away)
        length, reached = wait.seconds, wait.began
        for began, ended in spans:
            length -= max(0.0, ended - max(began, reached))
            reached = max(reached, ended)
        lengths.append(length)
    return lengths
