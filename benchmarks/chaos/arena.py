"""The arena: workers and coordinators under load, killed at random moments, and what was found afterwards."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db.models import Count

from benchmarks.chaos import recovery
from benchmarks.chaos.audit import Finding, audit_effects, audit_tables
from benchmarks.chaos.crowd import Crowd, Kill
from benchmarks.chaos.effects import EffectLog
from benchmarks.chaos.model import open_model
from benchmarks.chaos.site import open_site
from benchmarks.chaos.worker import lead_loop, work_stages
from benchmarks.chaos.world import COORDINATOR_LEASE_S, RUN_LEASE_S, TICK_S, make_hosts, queue_questions
from benchmarks.measurement import Measurement
from lealife.core.actors import command_line
from lealife.pipeline.draining import start_draining
from lealife.pipeline.pool import get_pool
from learning.models import RunLearningOutcome
from promotion.tags import ensure_base_tags
from training.coordinator import start_training
from training.models import Host, Run, TrainingOutcome, TrainingSource

COORDINATORS = 2
# Dead runs keep their hosts for a lease: with more hosts than workers there is always work to interrupt.
HOSTS_PER_WORKER = 3
# Waiting questions are kept above so many a host.
WAITING_PER_HOST = 4
# Mean seconds between two kills, and the share that hits coordinators.
KILL_EVERY_S = 0.15
COORDINATOR_SHARE = 0.15
# What a stub takes to answer, in seconds: long enough to be killed in the middle of.
SITE_TAKES_S = 0.005
MODEL_TAKES_S = 0.01
# With fewer kills than this it is no surprise when none hits a leader.
FEW_KILLS = 100
DRAINS_WITHIN_S = 120.0
ENDS_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much chaos: SIGKILLs, worker processes, and the seed of whom and when."""

    kills: int
    workers: int
    seed: int

    def describe(self) -> str:
        """For the table."""
        return (
            f"{self.workers} workers, {COORDINATORS} coordinators, {self.workers * HOSTS_PER_WORKER} hosts, "
            f"run lease {RUN_LEASE_S} s, seed {self.seed}"
        )


class Arena:
    """One world's processes from their start to the audit; `say` is told how many kills there were, and a state."""

    def __init__(self, *, plan: Plan, folder: Path, say: Callable[[int, str], None]) -> None:
        self.plan, self._say = plan, say
        self.log = EffectLog(folder / "effects.jsonl")
        self._random = random.Random(plan.seed)  # noqa: S311  a seed is wanted, no secret
        self._site = open_site(hosts=plan.workers * HOSTS_PER_WORKER, log=self.log, takes_s=SITE_TAKES_S)
        self._model = open_model(log=self.log, takes_s=MODEL_TAKES_S)
        self._servers = Crowd({"site": self._site.serve, "model": self._model.serve})
        self._crowd = Crowd({"worker": work_stages, "coordinator": lambda: lead_loop(log=self.log)})
        self._hosts: list[Host] = []
        self._questions = 0
        self._held: dict[int, Kill] = {}
        self._leaders: list[Kill] = []

    def run(self) -> list[Measurement]:
        """Everything, in order: the claims about what is left."""
        try:
            self._open()
            self._rage()
            drained = self._settle()
        finally:
            self._crowd.end()
            self._servers.end()
        self._say(len(self._crowd.kills), "audit")
        return self._judge(drained=drained)

    def _open(self) -> None:
        for server in ("site", "model"):
            self._servers.fork(server)
        settings.OLLAMA_HOST = self._model.addresses[0]
        ensure_base_tags(server=get_pool(), base=settings.LEALIFE_BASE_MODEL)
        self._hosts = make_hosts(self._site.addresses)
        start_training(by=command_line("chaos"), origin="chaos")
        self._feed()
        for role, count in (("worker", self.plan.workers), ("coordinator", COORDINATORS)):
            for _ in range(count):
                self._crowd.fork(role)

    def _rage(self) -> None:
        while len(self._crowd.kills) < self.plan.kills:
            time.sleep(self._random.expovariate(1 / KILL_EVERY_S))
            role = "coordinator" if self._random.random() < COORDINATOR_SHARE else "worker"
            killed = self._crowd.kill(self._crowd.choose(self._random, role=role))
            self._held.update(dict.fromkeys(recovery.read_held(killed), killed))
            if recovery.has_led(killed):
                self._leaders.append(killed)
            self._crowd.look_after()
            self._feed()
            self._say(len(self._crowd.kills), f"{TrainingOutcome.objects.count()} outcomes")

    def _feed(self) -> None:
        wanted = WAITING_PER_HOST * len(self._hosts)
        if TrainingSource.objects.pending().count() < wanted:
            self._questions = queue_questions(self._hosts, count=wanted, first=self._questions)

    def _settle(self) -> bool:
        """Lets everything drain and tells everybody to stop; whether all was done in time."""
        ends = time.monotonic() + DRAINS_WITHIN_S
        while (left := _count_unfinished()) and time.monotonic() < ends:
            self._say(len(self._crowd.kills), f"{left} to go")
            self._crowd.look_after()
            time.sleep(0.2)
        start_draining()
        self._crowd.wait(within_s=ENDS_WITHIN_S)
        return not left

    def _judge(self, *, drained: bool) -> list[Measurement]:
        setup = f"seed {self.plan.seed}"
        kills = self._crowd.kills
        coordinators = sum(kill.role == "coordinator" for kill in kills)
        counts = f"{coordinators} of coordinators; outcomes: {count_endings()}; {self.plan.describe()}"
        return [
            Measurement("SIGKILLs", len(kills), self.plan.kills, "", len(kills) >= self.plan.kills and drained, counts),
            _claim_none("processes that ended by themselves", self._crowd.broken, setup),
            *(as_claim(finding, setup) for finding in (*audit_tables(), *audit_effects(self.log))),
            *self._judge_recovery(),
        ]

    def _judge_recovery(self) -> list[Measurement]:
        ticks = recovery.read_ticks(self.log)
        gaps = recovery.measure_leaderless(self._leaders, ticks)
        reclaims = recovery.measure_reclaims(self._held)
        longest = max(TICK_S, recovery.measure_longest_tick(ticks))
        died = f"{len(reclaims)} runs died with their worker"
        return [
            _claim_within(
                "from a kill to the work claimed again, time without a leader left out",
                recovery.subtract(reclaims, gaps),
                RUN_LEASE_S + longest,
                f"lease + 1 tick; one every {TICK_S:g} s, with its work at most {longest:.2f} s; {died}",
            ),
            _claim_within(
                "from a leader's kill to the next one's tick",
                [gap.seconds for gap in gaps],
                COORDINATOR_LEASE_S + TICK_S,
                f"coordinator lease + 1 tick; {len(gaps)} leaders killed",
                # About one kill in fourteen hits the leader: a short run may have none to measure.
                may_be_none=self.plan.kills < FEW_KILLS,
            ),
        ]


def count_endings() -> str:
    """The outcomes by how they ended, the most frequent first."""
    rows = TrainingOutcome.objects.values_list("error_code").annotate(n=Count("pk")).order_by("-n")
    return ", ".join(f"{n} {code or 'success'}" for code, n in rows)


def as_claim(finding: Finding, setup: str) -> Measurement:
    """An invariant as a claim that nothing breaks it; what does is named."""
    told = f"{', '.join(finding.broken[:3])}; {setup}" if finding.broken else setup
    return _claim_none(finding.invariant, len(finding.broken), told)


def _claim_none(claim: str, count: int, setup: str) -> Measurement:
    return Measurement(claim, count, 0, "", count == 0, setup)


def _claim_within(
    claim: str, seconds: Sequence[float], bound: float, setup: str, *, may_be_none: bool = False
) -> Measurement:
    longest = max(seconds, default=0.0)
    return Measurement(claim, longest, bound, "s", (may_be_none or bool(seconds)) and longest <= bound, setup)


def _count_unfinished() -> int:
    """Sources that wait or run, outcomes that are not sealed or not ingested."""
    waiting = [TrainingSource.Status.PENDING, TrainingSource.Status.CLAIMED]
    outcomes = TrainingOutcome.objects
    return (
        TrainingSource.objects.filter(status__in=waiting).count()
        + Run.objects.open().count()
        + outcomes.filter(seal=None).count()
        + outcomes.count()
        - RunLearningOutcome.objects.count()
    )
