"""A harbour: stub site and stub model as processes, hosts on the tests' database, and what drains it all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from django.conf import LazySettings
from django.conf import settings as project
from django.utils import timezone

from benchmarks.chaos.audit import audit_effects, audit_tables
from benchmarks.chaos.crowd import Crowd
from benchmarks.chaos.effects import EffectLog
from benchmarks.chaos.model import open_model
from benchmarks.chaos.site import open_site
from benchmarks.chaos.world import make_hosts, queue_questions
from lealife.core.actors import command_line
from lealife.pipeline.launching import launch_training
from lealife.pipeline.pool import get_pool
from lealife.pipeline.stages import drain, sweep
from learning.models import RunLearningOutcome
from promotion.tags import ensure_base_tags
from training.coordinator import start_training
from training.models import Host, Run, TrainingOutcome, TrainingSource
from training.models.runs import LEASE

STAGES = ("execute", "seal", "ingest")
LAPSE = LEASE + timedelta(seconds=1)
RECOVERS_WITHIN_S = 30.0


@dataclass
class Harbour:
    """Hosts with questions on them, and the independent log of what their site and the model were asked."""

    log: EffectLog
    hosts: list[Host]
    asked: int = field(default=0)

    def queue(self) -> TrainingSource:
        """A question on the next host."""
        self.asked = queue_questions(self.hosts, count=1, first=self.asked)
        return TrainingSource.objects.order_by("-pk")[0]

    def take(self) -> None:
        """The whole path of what waits, from claim to ingest, by the product's own actions."""
        launch_training(timezone.now())
        for stage in STAGES:
            drain(stage)

    def recover(self) -> None:
        """What the product does once leases have lapsed, until nothing is left to do."""
        ends = time.monotonic() + RECOVERS_WITHIN_S
        # A killed worker's locks go with its connection, which Postgres notices a moment later.
        while is_anything_left():
            assert time.monotonic() < ends, "it does not drain"
            later = timezone.now() + LAPSE
            sweep(later)
            launch_training(later + timedelta(seconds=1))
            for stage in STAGES:
                drain(stage)

    def judge(self) -> dict[str, tuple[str, ...]]:
        """Invariants that do not hold, with what breaks them."""
        findings = [*audit_tables(), *audit_effects(self.log)]
        return {finding.invariant: finding.broken for finding in findings if finding.broken}


def is_anything_left() -> bool:
    """Whether a source waits or runs, or an outcome waits for its seal or its ingest."""
    outcomes = TrainingOutcome.objects
    return (
        TrainingSource.objects.filter(status__in=["pending", "claimed"]).exists()
        or Run.objects.open().exists()
        or outcomes.filter(seal=None).exists()
        or outcomes.exclude(pk__in=RunLearningOutcome.objects.values("outcome_id")).exists()
    )


@contextmanager
def open_harbour(*, folder: Path, settings: LazySettings, hosts: int) -> Iterator[Harbour]:
    """Two stub servers as processes of their own, the first tags made on one, hosts for each port of the other."""
    log = EffectLog(folder / "effects.jsonl")
    site, model = open_site(hosts=hosts, log=log), open_model(log=log)
    servers = Crowd({"site": site.serve, "model": model.serve})
    for role in ("site", "model"):
        servers.fork(role)
    try:
        settings.OLLAMA_HOST = model.addresses[0]
        ensure_base_tags(server=get_pool(), base=project.LEALIFE_BASE_MODEL)
        start_training(by=command_line("tests"), origin="tests")
        yield Harbour(log, make_hosts(site.addresses))
    finally:
        servers.end()
        site.stop()
        model.stop()
