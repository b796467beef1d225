"""A worker that dies before or after any SQL statement loses nothing and does nothing twice.

One source is taken from claim to ingest by the product's own functions while the n-th statement kills the
worker; n grows until it survives. What the tables hold afterwards is judged against a list that only ever
grows: an effect is written there when the function that caused it has returned.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Count, F

from learning.ingest import ingest_outcome, read_backlog, read_uningested
from learning.models import MemoryItem, RunLearningOutcome
from tests.factories import PASSAGE, START, make_choices, make_host, make_html, make_source, make_step
from training.agent.brain import Brain
from training.claims import LEASE, claim_next_source
from training.counters import read_counters
from training.models import Run, TrainingCycle, TrainingOutcome, TrainingSource
from training.runs import Result, begin_next_run, fail_lapsed_runs, finish_run, record_brain, record_step
from training.seals import seal_outcomes, verify_chain

LAPSE = LEASE + timedelta(seconds=1)
# Past the rest of a source that has failed.
REST = timedelta(seconds=11)
Effects = list[tuple[str, int]]


class Killed(BaseException):
    """Ends a worker as SIGKILL does: no handler in the product may catch it."""


class Killer:
    """Kills at the `at`-th SQL statement, "before" or "after" it runs."""

    def __init__(self, *, at: int, when: str) -> None:
        self.at, self.when, self.seen = at, when, 0

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        self.seen += 1
        if self.seen == self.at and self.when == "before":
            raise Killed(sql)
        result = execute(sql, params, many, context)
        if self.seen == self.at:
            raise Killed(sql)
        return result


def survives(work: Callable[[], object], *, at: int, when: str) -> bool:
    """Whether `work` ends before its `at`-th statement; a killed worker's connection is gone with it."""
    try:
        with connection.execute_wrapper(Killer(at=at, when=when)):
            work()
    except Killed:
        connection.close()
        return False
    return True


def take_source(effects: Effects, *, now: datetime) -> bool:
    """One source from claim to ingest; False when none was there to claim."""
    claim = claim_next_source(now=now)
    if claim is None:
        return False
    effects.append(("claimed", claim.source_id))
    run = begin_next_run(worker="worker", now=now)
    assert run is not None
    record_brain(run_id=run.pk, fence=run.fence, brain=Brain("c:1", "sha256:c", "t:1", "sha256:t"), withheld=[])
    start, found = run.host.base_url, f"{run.host.base_url}found"
    body = make_html("Found", PASSAGE)
    for step in (
        make_step(url=start, body=make_html("Start", "Nothing.", links=["found"])),
        make_step(url=found, body=body, index=1, shortlist=make_choices(found, f"{start}other"), picked_by="model"),
    ):
        record_step(run_id=run.pk, fence=run.fence, step=step, now=now)
    quote = {"text": PASSAGE, "url": found, "digest": make_step(url=found, body=body).body_digest}
    finish_run(
        run_id=run.pk,
        fence=run.fence,
        result=Result(success=True, verifier="quotes", quotes=(quote,), pages=2),
        served_controller="sha256:c",
        served_task="sha256:t",
        now=now,
    )
    effects.append(("finished", run.pk))
    ingest_ready(effects, now=now)
    return True


def ingest_ready(effects: Effects, *, now: datetime) -> None:
    """Ingests whatever waits, as the ingest stage does."""
    while (outcome_id := read_uningested().values_list("pk", flat=True).first()) is not None:
        assert ingest_outcome(outcome_id=outcome_id, now=now) is not None
        effects.append(("ingested", outcome_id))


def sweep(effects: Effects, *, now: datetime) -> None:
    """The coordinator's repair, and the stage behind it."""
    lapsed = list(Run.objects.lapsed(now=now).values_list("pk", flat=True))
    assert fail_lapsed_runs(now=now) == len(lapsed)
    effects.extend(("lost", run_id) for run_id in lapsed)
    ingest_ready(effects, now=now)


def recover(effects: Effects, *, now: datetime) -> datetime:
    """What the product does after a crash: wait for the lease, sweep, go on until nothing is left."""
    now += LAPSE
    sweep(effects, now=now)
    now += REST
    while take_source(effects, now=now):
        now += REST
    seal_outcomes()
    return now


def judge(effects: Effects) -> None:
    """The tables against the list of effects."""

    def told(effect: str) -> list[int]:
        return [number for name, number in effects if name == effect]

    outcomes = TrainingOutcome.objects
    # No source is lost, none is left half done.
    assert set(TrainingSource.objects.values_list("status", flat=True)) == {TrainingSource.Status.DONE}
    assert not Run.objects.open().exists()
    assert not TrainingCycle.objects.filter(status=TrainingCycle.Status.OPEN).exists()
    # One outcome a cycle, success only where a finish returned, `worker_lost` only where the sweep said so.
    assert not TrainingCycle.objects.annotate(n=Count("outcome")).exclude(n=1).exists()
    assert sorted(outcomes.filter(success=True).values_list("run_id", flat=True)) == sorted(told("finished"))
    lost = outcomes.filter(error_code="worker_lost").values_list("run_id", flat=True)
    assert sorted(lost) == sorted(told("lost"))
    assert outcomes.count() == len(told("finished")) + len(told("lost"))
    # One ingest an outcome, and every item saw each of its outcomes once.
    ingested = sorted(RunLearningOutcome.objects.values_list("outcome_id", flat=True))
    assert ingested == sorted(told("ingested")) == sorted(outcomes.values_list("pk", flat=True))
    assert not MemoryItem.objects.annotate(n=Count("evidence")).exclude(n=F("sightings")).exists()
    # Counters are what counting finds.
    assert read_counters() == {
        "outcomes.total": outcomes.count(),
        "outcomes.success": outcomes.filter(success=True).count(),
        "outcomes.failure": outcomes.filter(success=False).count(),
        "ingested.total": RunLearningOutcome.objects.count(),
        "ingested.success": RunLearningOutcome.objects.filter(success=True).count(),
    }
    assert read_backlog() == 0
    chain = verify_chain()
    assert (chain.sealed_rows, chain.unsealed, chain.broken_at) == (outcomes.count(), 0, None)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_killed_at_any_statement_loses_nothing_and_repeats_nothing(
    transactional_db, silent, settle, when, record_property
):
    settle(retry_budget=100)
    effects: Effects = []
    now, at, survived = START, 0, False
    while not survived:
        at += 1
        make_source(make_host(), queued_at=now)
        killed_at = now

        def work(now: datetime = killed_at) -> None:
            take_source(effects, now=now)

        survived = survives(work, at=at, when=when)
        now = recover(effects, now=now)
        judge(effects)
        now += REST
    record_property("crash_points", at - 1)
    # A claim, a begin, two steps, a finish and an ingest are no fewer statements than this.
    assert at > 40
    assert len({number for name, number in effects if name == "claimed"}) == at


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_sweeper_killed_at_any_statement_leaves_one_outcome(transactional_db, silent, settle, when, record_property):
    settle(retry_budget=100)
    effects: Effects = []
    now, at, survived = START, 0, False
    while not survived:
        at += 1
        make_source(make_host(), queued_at=now)
        claim = claim_next_source(now=now)
        begin_next_run(worker="lost", now=now)
        now += LAPSE

        def repair(now: datetime = now) -> None:
            fail_lapsed_runs(now=now)
            seal_outcomes()

        survived = survives(repair, at=at, when=when)
        if TrainingOutcome.objects.filter(run_id=claim.run_id).exists():
            effects.append(("lost", claim.run_id))
        now = recover(effects, now=now)
        judge(effects)
        now += REST
    record_property("crash_points", at - 1)
    assert at > 10
