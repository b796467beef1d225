"""Fairness in a simulated hour: the lane rules alone, with a clock of their own and no database."""

from __future__ import annotations

import heapq
import random
from bisect import insort
from collections import defaultdict
from dataclasses import dataclass, field

import pytest

from training import selection
from training.models.sources import AGEING_S
from training.selection import LaneRules, Waiting

HOUR_S = 3_600.0
RUN_S = 10.0
HOSTS = 100


@dataclass
class Simulation:
    """Hosts with queues, slots with runs; `choose_source` decides everything.

    `waits` are the seconds from queueing to claim of the sources that were served, by source.
    """

    slots: int = 8
    recent_window: int = 2
    clock_s: float = 0.0
    queues: dict[int, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    queued_s: dict[int, float] = field(default_factory=dict)
    served_s: dict[int, float] = field(default_factory=dict)
    busy: set[int] = field(default_factory=set)
    picks: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    waits: dict[int, float] = field(default_factory=dict)
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def queue(self, host: int, *, priority: int = 0, at_s: float | None = None) -> int:
        """Queues one source; returns its id."""
        at_s = self.clock_s if at_s is None else at_s
        source_id = len(self.queued_s) + 1
        self.queued_s[source_id] = at_s
        insort(self.queues[host], (at_s - priority * AGEING_S, source_id))
        return source_id

    def run(self, seconds: float = HOUR_S, *, keep_full=lambda simulation: None) -> None:
        """Fills free slots, jumps to the next end of a run, and again, until the time is up."""
        ends: list[tuple[float, int]] = []
        while self.clock_s < seconds:
            keep_full(self)
            while len(ends) < self.slots and (head := self.pick()) is not None:
                heapq.heappush(ends, (self.clock_s + RUN_S * self.chance.uniform(0.5, 1.5), head.host_id))
            if not ends:
                self.clock_s += 1.0
                continue
            self.clock_s, host = heapq.heappop(ends)
            self.busy.discard(host)

    def pick(self) -> Waiting | None:
        """One claim, as `read_lane_state` feeds the rules."""
        recent = sorted(self.served_s, key=self.served_s.__getitem__, reverse=True)[: self.recent_window]
        rules = LaneRules(
            mode=selection.HYBRID,
            curriculum_fallback=True,
            recent_hosts=tuple(recent),
            turn=sum(self.picks.values()),
        )
        head = selection.choose_source(self.heads(), rules=rules, busy_hosts=frozenset(self.busy))
        if head is not None:
            self.queues[head.host_id] = [one for one in self.queues[head.host_id] if one[1] != head.source_id]
            self.waits[head.source_id] = self.clock_s - self.queued_s[head.source_id]
            self.picks[head.host_id] += 1
            # Two claims of one instant still have an order.
            self.served_s[head.host_id] = self.clock_s + len(self.waits) / 1e6
            self.busy.add(head.host_id)
        return head

    def heads(self) -> list[Waiting]:
        """The head of each host's queue, as the claim's query reads them: every tenth time the longest waiting."""
        return [
            Waiting(
                source_id=min(source_id for _, source_id in queue) if self.is_longest_next(host) else queue[0][1],
                kind=selection.QUEUE,
                host_id=host,
                level=int((self.clock_s - queue[0][0]) // AGEING_S),
                rank=queue[0][0],
                host_served_s=self.served_s.get(host, 0.0),
            )
            for host, queue in self.queues.items()
            if queue
        ]

    def is_longest_next(self, host: int) -> bool:
        return self.picks[host] % selection.FAIR_EVERY == selection.FAIR_EVERY - 1

    def fair_wait_s(self, *, hosts: int) -> float:
        """Seconds until every one of `hosts` hosts has had a turn, when each gets as many as any other."""
        return hosts * RUN_S / self.slots


def jain(counts: list[int]) -> float:
    """Jain's index: 1 when all are equal, 1/n when one has all."""
    return sum(counts) ** 2 / (len(counts) * sum(count**2 for count in counts))


def keep_one_waiting(simulation: Simulation, hosts: range, *, priority: int = 0) -> None:
    for host in hosts:
        if len(simulation.queues[host]) < 2:
            simulation.queue(host, priority=priority)


@pytest.mark.parametrize(("slots", "window"), [(1, 2), (4, 2), (8, 0), (8, 20)])
def test_equal_hosts_get_equal_shares(slots, window, record_property):
    simulation = Simulation(slots=slots, recent_window=window)
    # At one run at a time an hour is too short for every host to be served often.
    seconds = max(HOUR_S, 20 * HOSTS * RUN_S / slots)
    simulation.run(seconds, keep_full=lambda now: keep_one_waiting(now, range(HOSTS)))
    index = jain([simulation.picks[host] for host in range(HOSTS)])
    record_property("jain", round(index, 5))
    assert index >= 0.99


def lowest_wait(simulation: Simulation, *, host: int, flood: range, normal: range) -> float:
    """How long a source of the lowest priority waits, in fair shares; infinite when the hour was too short."""
    lowest = simulation.queue(host, priority=-100)

    def keep_full(now: Simulation) -> None:
        keep_one_waiting(now, flood, priority=100)
        keep_one_waiting(now, normal)

    simulation.run(keep_full=keep_full)
    hosts = len({host, *flood, *normal})
    return simulation.waits.get(lowest, float("inf")) / simulation.fair_wait_s(hosts=hosts)


@pytest.mark.parametrize("window", [0, 2])
@pytest.mark.parametrize(
    ("flood", "normal"),
    [
        pytest.param(range(1), range(1, HOSTS - 1), id="one campaign on its host"),
        pytest.param(range(HOSTS * 9 // 10), range(HOSTS * 9 // 10, HOSTS - 1), id="nine hosts of ten"),
        pytest.param(range(HOSTS - 1), range(0), id="all other hosts"),
    ],
)
def test_the_lowest_priority_waits_no_more_than_ten_fair_shares_under_a_flood(flood, normal, window, record_property):
    shares = lowest_wait(Simulation(recent_window=window), host=HOSTS - 1, flood=flood, normal=normal)
    record_property("fair_shares", round(shares, 2))
    assert shares <= 10


@pytest.mark.parametrize("load", [0.5, 0.95, 3.0])
@pytest.mark.parametrize("others", [0, 9, 10])
def test_the_lowest_priority_waits_no_more_than_ten_fair_shares_under_a_flood_of_its_own_host(
    load, others, record_property
):
    simulation = Simulation(slots=1 + others, recent_window=0)
    flooded, arrived = 0, 0
    for _ in range(20):
        simulation.queue(flooded, priority=100)
    lowest = [simulation.queue(flooded, priority=-100) for _ in range(3)]
    # First come, first served would reach the last of them when all that was there before it has been served.
    fair_s = len(simulation.queues[flooded]) * RUN_S

    def keep_full(now: Simulation) -> None:
        nonlocal arrived
        while arrived < now.clock_s * load / RUN_S:
            now.queue(flooded, priority=100)
            arrived += 1
        keep_one_waiting(now, range(1, 1 + others))

    simulation.run(seconds=20 * fair_s, keep_full=keep_full)
    shares = max(simulation.waits.get(source, float("inf")) for source in lowest) / fair_s
    record_property("fair_shares", round(shares, 2))
    assert shares <= 10


@pytest.mark.parametrize("slots", [1, 8])
def test_a_flood_leaves_every_normal_host_its_turn(slots, record_property):
    simulation = Simulation(slots=slots, recent_window=0)
    flood, normal = range(9), range(9, 10)

    def keep_full(now: Simulation) -> None:
        keep_one_waiting(now, flood, priority=100)
        keep_one_waiting(now, normal)

    simulation.run(keep_full=keep_full)
    share = simulation.picks[9] / sum(simulation.picks.values()) * 10
    record_property("of_its_fair_share", round(share, 2))
    assert share >= 0.1


def test_a_higher_priority_is_still_served_sooner():
    simulation = Simulation(slots=4)
    urgent, normal = range(20), range(20, HOSTS)

    def keep_full(now: Simulation) -> None:
        keep_one_waiting(now, urgent, priority=1)
        keep_one_waiting(now, normal)

    simulation.run(seconds=900, keep_full=keep_full)
    assert min(simulation.picks[host] for host in urgent) > max(simulation.picks[host] for host in normal)
