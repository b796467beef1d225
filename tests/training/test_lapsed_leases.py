"""A worker that stops renewing its lease: one outcome, and every later write of its is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lealife.core.errors import StaleClaim
from tests.factories import START, begin_claimed, finish, later, make_host, make_source, make_step, queue_standard
from training.agent.brain import Brain
from training.claims import LEASE, claim_next_source
from training.models import Run, Step, TrainingOutcome
from training.runs import (
    ATTEMPTS_MAX,
    begin_next_run,
    claim_queued_run,
    fail_lapsed_runs,
    record_brain,
    record_step,
    renew_lease,
)

LAPSED = later(seconds=LEASE.total_seconds() + 1)


WRITES = {
    "renew": lambda run: renew_lease(run_id=run.pk, fence=run.fence, now=LAPSED),
    "step": lambda run: record_step(run_id=run.pk, fence=run.fence, step=make_step(url="http://x/"), now=LAPSED),
    "brain": lambda run: record_brain(run_id=run.pk, fence=run.fence, brain=Brain("c", "d", "t", "e"), withheld=[]),
    "finish": lambda run: finish(run, now=LAPSED),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_zombie_is_refused_after_its_lease_was_swept(run, write):
    assert fail_lapsed_runs(now=LAPSED) == 1
    before = Run.objects.values().get(pk=run.pk)
    with pytest.raises(StaleClaim, match="no longer held"):
        WRITES[write](run)
    assert Run.objects.values().get(pk=run.pk) == before
    assert not Step.objects.exists()
    assert TrainingOutcome.objects.count() == 1


@pytest.mark.parametrize("write", WRITES)
def test_nothing_is_written_after_the_finish(run, write):
    finish(run)
    before = Run.objects.values().get(pk=run.pk)
    with pytest.raises(StaleClaim):
        WRITES[write](run)
    assert Run.objects.values().get(pk=run.pk) == before
    assert TrainingOutcome.objects.count() == 1


def test_a_lapsed_lease_becomes_one_outcome_with_worker_lost(run):
    assert fail_lapsed_runs(now=LAPSED) == 1
    assert fail_lapsed_runs(now=LAPSED) == 0
    outcome = TrainingOutcome.objects.get()
    assert (outcome.success, outcome.error_code) == (False, "worker_lost")
    assert (outcome.source.status, outcome.source.failed_attempts) == ("pending", 1)


def test_sources_of_a_dead_worker_are_next_even_for_a_slightly_slow_clock(run):
    # With a rest until the sweep's own moment, another source of the host was served first: two leases of waiting.
    make_source(run.host)
    fail_lapsed_runs(now=LAPSED)
    claim = claim_next_source(now=LAPSED - timedelta(milliseconds=50))
    assert claim.source_id == run.cycle.source_id


def test_a_lease_is_not_swept_on_its_last_instant(run):
    assert fail_lapsed_runs(now=START + LEASE) == 0


def test_sweeps_that_race_leave_one_outcome(race, settle):
    make_source(make_host())
    begin_claimed()
    assert sum(race(*[lambda: fail_lapsed_runs(now=LAPSED) for _ in range(4)])) == 1
    assert TrainingOutcome.objects.count() == 1


def test_a_finish_and_a_sweep_that_race_leave_one_outcome(race, settle):
    for _ in range(4):
        make_source(make_host())
        run = begin_claimed()
        finished, swept = race(lambda run=run: finish(run), lambda: fail_lapsed_runs(now=LAPSED))
        assert isinstance(finished, StaleClaim) == bool(swept)
    assert TrainingOutcome.objects.count() == 4


def test_a_lapsed_lease_disables_a_source_whose_budget_is_spent(host, settle):
    settle(retry_budget=1)
    make_source(host)
    begin_claimed()
    fail_lapsed_runs(now=LAPSED)
    assert TrainingOutcome.objects.get().source.status == "disabled"


def test_a_claim_that_no_worker_began_lapses_too(host):
    make_source(host)
    claim_next_source(now=START)
    fail_lapsed_runs(now=LAPSED)
    assert TrainingOutcome.objects.get().error_code == "worker_lost"
    assert Run.objects.get().error == "Worker (none) stopped renewing its lease."


def test_a_lost_standard_run_is_queued_again_within_its_attempts(host):
    queue_standard(host)
    for attempt in range(1, ATTEMPTS_MAX + 1):
        now = later(minutes=attempt)
        claim_queued_run(now=now)
        run = begin_next_run(worker="w", now=now)
        record_step(run_id=run.pk, fence=run.fence, step=make_step(url="http://x/"), now=now)
        fail_lapsed_runs(now=later(minutes=attempt, seconds=40))
        run.refresh_from_db()
        assert run.status == ("queued" if attempt < ATTEMPTS_MAX else "failed")
        assert run.steps.exists() == (attempt == ATTEMPTS_MAX)
    assert (run.error_code, run.attempts) == ("worker_lost", ATTEMPTS_MAX)
    assert not TrainingOutcome.objects.exists()


def test_a_question_that_no_worker_started_keeps_waiting(host):
    queue_standard(host)
    for attempt in range(2 * ATTEMPTS_MAX):
        assert claim_queued_run(now=later(minutes=attempt)) is not None
        fail_lapsed_runs(now=later(minutes=attempt, seconds=40))
    assert Run.objects.get().status == "queued"


def test_a_standard_run_that_was_queued_again_refuses_its_first_worker(host):
    queue_standard(host)
    claim_queued_run(now=START)
    zombie = begin_next_run(worker="one", now=START)
    fail_lapsed_runs(now=LAPSED)
    claim_queued_run(now=LAPSED)
    heir = begin_next_run(worker="two", now=LAPSED)
    with pytest.raises(StaleClaim):
        finish(zombie, now=LAPSED)
    assert finish(heir, now=LAPSED).status == "succeeded"


def test_fences_only_grow(host):
    queue_standard(host)
    fences = []
    for attempt in range(ATTEMPTS_MAX):
        now = later(minutes=attempt)
        claim_queued_run(now=now)
        run = begin_next_run(worker="w", now=now)
        fences.append(run.fence)
        fail_lapsed_runs(now=later(minutes=attempt, seconds=40))
    assert fences == sorted(set(fences))
