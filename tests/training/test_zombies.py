"""Two workers and a sweeper in any order: every stale write is refused, and no cycle has two outcomes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as some

from lealife.core.actors import command_line
from lealife.core.errors import StaleClaim
from tests.factories import START, finish, make_host, make_source, make_step
from training.claims import LEASE, claim_next_source
from training.models import Run, Step, TrainingCycle, TrainingOutcome
from training.runs import (
    begin_next_run,
    claim_queued_run,
    fail_lapsed_runs,
    queue_run,
    record_step,
    renew_lease,
)
from training.runtime_settings import apply_settings

WORKERS = ("one", "two")
ACTIONS = some.one_of(
    some.tuples(some.just("claim"), some.just("")),
    some.tuples(some.sampled_from(["begin", "renew", "step", "succeed", "fail"]), some.sampled_from(WORKERS)),
    some.tuples(some.just("wait"), some.sampled_from([5, 20, 31])),
    some.tuples(some.just("sweep"), some.just("")),
)


@dataclass
class World:
    """What must be true, kept separately from the tables: who holds which run until when, and which runs ended."""

    now: datetime = START
    holds: dict[str, Run] = field(default_factory=dict)
    owner: dict[int, str] = field(default_factory=dict)
    lease: dict[int, datetime] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    steps: int = 0

    def do(self, action: str, argument: str | int) -> None:
        if action == "wait":
            self.now += timedelta(seconds=int(argument))
        elif action == "claim":
            self.claim()
        elif action == "sweep":
            self.sweep()
        elif action == "begin":
            self.begin(str(argument))
        elif argument in self.holds:
            self.write(action, str(argument))

    def claim(self) -> None:
        for run_id in (getattr(claim_next_source(now=self.now), "run_id", None), claim_queued_run(now=self.now)):
            if run_id is not None:
                self.owner[run_id], self.lease[run_id] = "", self.now + LEASE

    def begin(self, worker: str) -> None:
        waiting = sorted(run_id for run_id, owner in self.owner.items() if owner == "")
        run = begin_next_run(worker=worker, now=self.now)
        assert (run.pk if run else None) == (waiting[0] if waiting else None)
        if run is not None:
            self.holds[worker] = run
            self.owner[run.pk], self.lease[run.pk] = f"{worker}/{run.fence}", self.now + LEASE

    def sweep(self) -> None:
        lapsed = {run_id for run_id, until in self.lease.items() if until < self.now}
        assert fail_lapsed_runs(now=self.now) == len(lapsed)
        for run_id in lapsed:
            self.end(run_id)

    def write(self, action: str, worker: str) -> None:
        run = self.holds[worker]
        # The name alone is not enough: a worker may have lost a run and begun it again under another fence.
        allowed = self.owner.get(run.pk) == f"{worker}/{run.fence}"
        try:
            self.send(action, run)
        except StaleClaim:
            assert not allowed, f"{worker}'s {action} was refused although it holds run {run.pk}"
            return
        assert allowed, f"{worker}'s stale {action} of run {run.pk} was taken"
        if action in ("succeed", "fail"):
            self.end(run.pk)
        else:
            self.lease[run.pk] = self.now + LEASE

    def send(self, action: str, run: Run) -> None:
        if action == "renew":
            renew_lease(run_id=run.pk, fence=run.fence, now=self.now)
        elif action == "step":
            step = make_step(url="http://127.0.0.1:9/", index=self.steps)
            record_step(run_id=run.pk, fence=run.fence, step=step, now=self.now)
            self.steps += 1
        else:
            finish(run, success=action == "succeed", now=self.now)

    def end(self, run_id: int) -> None:
        del self.owner[run_id], self.lease[run_id]
        self.ended.add(run_id)

    def check(self) -> None:
        assert set(Run.objects.open().values_list("pk", flat=True)) == set(self.owner)
        cycles = set(TrainingCycle.objects.values_list("run_id", flat=True))
        # One outcome for each ended cycle: the unique constraint says one at most, this says one at least.
        assert set(TrainingOutcome.objects.values_list("run_id", flat=True)) == self.ended & cycles
        assert TrainingOutcome.objects.count() == len(self.ended & cycles)


class _Undo(Exception):
    pass


@pytest.mark.django_db
@hypothesis_settings(
    max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(some.lists(ACTIONS, min_size=4, max_size=24))
def test_no_schedule_of_two_workers_lets_a_stale_write_through(schedule):
    try:
        with transaction.atomic():
            # A budget that no schedule spends, so that there is always something to claim again.
            apply_settings(changes={"retry_budget": 100}, version=None, by=command_line("tests"), origin="tests")
            host = make_host()
            make_source(host), make_source(make_host())
            queue_run(lane="standard", prompt="Which?", host=host, check_spec=None, pages_target=None, by="ada")
            world = World()
            for action, argument in [("claim", ""), ("begin", "one"), *schedule]:
                world.do(action, argument)
                world.check()
            raise _Undo
    except _Undo:
        assert not Step.objects.exists()
