"""A worker that has ended a run claims the next for itself, by the claim's own rules, while the loop runs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from lealife.core.actors import command_line
from lealife.pipeline.bell import WEDGED_AFTER, ring
from lealife.pipeline.draining import start_draining
from lealife.pipeline.execution import execute_run
from lealife.pipeline.launching import launch_training, take_training
from lealife.pipeline.stages import drain, sweep
from tests.embedded.ollama_process import RunningOllama
from tests.pipeline.scenes import queue_question
from training import coordinator
from training.coordinator import LEASE, record_tick, start_training, stop_training, take_lease
from training.heartbeats import DAEMON, beat
from training.models import Host, Run, TrainingOutcome
from training.outcomes import BREAK_AFTER
from training.runtime_settings import apply_settings

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_may_drain", "ollama")]


@pytest.fixture
def leading(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training is allowed, and somebody leads: for an hour, however long the runs of a busy machine take."""
    monkeypatch.setattr(coordinator, "LEASE", timedelta(hours=1))
    monkeypatch.setattr(coordinator, "LEASE_MOST", timedelta(hours=2))
    start_training(by=command_line("ada"), origin="tests")
    fence = take_lease(holder="somebody", now=timezone.now())
    assert fence is not None
    record_tick(fence=fence, now=timezone.now(), launched=0)


def take() -> Run | None:
    return take_training(worker="me", now=timezone.now())


@pytest.mark.usefixtures("leading")
def test_one_bell_takes_a_worker_through_all_that_waits(ollama: RunningOllama, host: Host):
    for number in range(3):
        queue_question(host, title=f"Roses {number}")
    assert launch_training(timezone.now()) == 1
    assert drain("execute") == 3
    assert TrainingOutcome.objects.filter(success=True).count() == 3


@pytest.mark.usefixtures("leading")
def test_nothing_is_claimed_while_no_worker_answers_the_bells(host: Host):
    queue_question(host)
    ring("execute")
    # A daemon that leads the loop is no worker.
    sweep(timezone.now(), doing=DAEMON)
    OrmQ.objects.update(lock=timezone.now() - 2 * WEDGED_AFTER)
    assert launch_training(timezone.now()) == 0
    beat(worker="one that came back", doing="execute", now=timezone.now())
    assert launch_training(timezone.now()) == 1


@pytest.mark.usefixtures("leading")
def test_what_a_worker_takes_is_begun_and_its_own(host: Host):
    queue_question(host)
    run = take()
    assert run is not None
    assert (run.status, run.claimed_by, run.attempts) == ("running", "me", 1)
    assert run.started_at is not None
    assert run.lease_until > timezone.now()
    # Its host is busy now.
    queue_question(host, title="More roses")
    assert take() is None


def test_nothing_is_taken_after_a_stop(leading: None, host: Host):
    queue_question(host)
    stop_training(by=command_line("ada"), origin="tests")
    assert take() is None


def test_nothing_is_taken_while_no_process_leads(host: Host):
    queue_question(host)
    start_training(by=command_line("ada"), origin="tests")
    assert take() is None
    take_lease(holder="somebody", now=timezone.now() - 2 * LEASE - timedelta(seconds=1))
    assert take() is None


def test_a_worker_that_is_shutting_down_takes_nothing(leading: None, host: Host):
    queue_question(host)
    start_draining()
    assert take() is None


def test_nothing_is_taken_while_every_run_breaks(leading: None, host: Host, own_ollama: RunningOllama):
    apply_settings(changes={"retry_budget": 100}, version=None, by=command_line("tests"), origin="tests")
    for number in range(BREAK_AFTER):
        queue_question(host, title=f"Roses {number}")
    own_ollama.process.kill()
    own_ollama.process.wait(10)
    for _ in range(BREAK_AFTER):
        run = take()
        assert run is not None
        drain_one(run)
    queue_question(host, title="One more")
    assert take() is None


def drain_one(run: Run) -> None:
    """Lets a begun run break on the model that is gone."""

    execute_run(run)
    run.refresh_from_db()
    assert run.error_code == "model_unavailable"
