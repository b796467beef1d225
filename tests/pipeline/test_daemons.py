"""The training daemon as real processes: one leads, another takes over, settings reach it, a Stop is reversed aloud."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection
from django.utils import timezone

from lealife.core.actors import command_line
from lealife.core.places import BASE_DIR
from lealife.supervisor import Child
from promotion.models import ModelTag
from tests.factories import make_host
from tests.pipeline.scenes import queue_question
from tests.pipeline.test_supervisor import wait_until
from training.coordinator import read_coordinator, read_loop, start_training, stop_training
from training.models import AuditEntry, Coordinator, Run, RuntimeSettings
from training.runtime_settings import apply_settings, read_settings

pytestmark = pytest.mark.django_db(transaction=True)
LEASE_S, INTERVAL_S = 2.0, 0.2


@pytest.fixture
def start_daemon(transactional_db: None) -> Iterator[Callable[..., Child]]:
    """Starts `manage.py training_daemon` on the tests' database, with a short lease."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    url = urlunsplit(parts._replace(path=f"/{connection.settings_dict['NAME']}"))
    read_settings()
    RuntimeSettings.objects.update(loop_interval_s=INTERVAL_S)
    daemons: list[Child] = []

    def start(**environment: str) -> Child:
        daemon = Child(
            "daemon",
            [sys.executable, str(BASE_DIR / "manage.py"), "training_daemon"],
            environment={"DATABASE_URL": url, "LEALIFE_COORDINATOR_LEASE_S": f"{LEASE_S:g}", **environment},
            stop_within_s=10,
            quiet=True,
        )
        daemon.start()
        daemons.append(daemon)
        return daemon

    yield start
    for daemon in daemons:
        daemon.stop()


def name_of(daemon: Child) -> str:
    return f"{socket.gethostname()}:{daemon.process.pid}"


def leads(daemon: Child) -> bool:
    row = read_coordinator()
    return row.holder == name_of(daemon) and row.last_tick_at is not None


def test_another_daemon_takes_over_from_a_killed_one_within_the_lease(start_daemon):
    start_training(by=command_line("ada"), origin="tests")
    first = start_daemon()
    wait_until(lambda: leads(first), seconds=20)
    second = start_daemon()
    # Long enough to have looked: it waits while the first one leads.
    time.sleep(3)
    assert leads(first)
    assert second.process.poll() is None
    fence = read_coordinator().fence
    first.process.kill()
    killed_at = time.monotonic()
    wait_until(lambda: leads(second), seconds=20)
    # The lease, and one look of a waiting daemon.
    assert time.monotonic() - killed_at <= LEASE_S + 1.0 + 0.5
    assert read_coordinator().fence == fence + 1


def test_a_daemon_that_ends_hands_over_at_once(start_daemon):
    first = start_daemon()
    wait_until(lambda: leads(first), seconds=20)
    first.stop()
    assert first.process.returncode == 0
    assert read_coordinator().lease_until is None


def test_settings_reach_a_process_that_runs_at_its_next_tick(start_daemon):
    ModelTag.objects.create(role="controller", name="c:1", digest="d", base="b", recipe_digest="r", status="active")
    RuntimeSettings.objects.update(training_max_active_runs=0)
    start_training(by=command_line("ada"), origin="tests")
    queue_question(make_host())
    daemon = start_daemon()
    wait_until(lambda: leads(daemon), seconds=20)
    time.sleep(3 * INTERVAL_S)
    assert not Run.objects.exists()
    apply_settings(changes={"training_max_active_runs": 1}, version=None, by=command_line("ada"), origin="tests")
    applied_at = time.monotonic()
    wait_until(Run.objects.exists)
    assert time.monotonic() - applied_at < INTERVAL_S + 1.0
    assert daemon.process.poll() is None


def test_a_stop_that_a_daemon_reverses_is_recorded_and_shown(start_daemon):
    start_training(by=command_line("ada"), origin="tests")
    daemon = start_daemon(TRAINING_DAEMON_START_IF_STOPPED="1")
    wait_until(lambda: leads(daemon), seconds=20)
    assert read_loop(now=timezone.now()).reversal is None
    stop_training(by=command_line("ada"), origin="page")
    wait_until(lambda: read_coordinator().enabled)
    reversal = read_loop(now=timezone.now()).reversal
    assert (reversal.daemon, reversal.stopped_by) == (f"training_daemon on {socket.gethostname()}", "ada (page)")
    assert AuditEntry.objects.first().actor == reversal.daemon


def test_a_daemon_that_does_not_lead_reverses_a_stop_too(start_daemon):
    start_training(by=command_line("ada"), origin="tests")
    leader = start_daemon()
    wait_until(lambda: leads(leader), seconds=20)
    stop_training(by=command_line("ada"), origin="page")
    start_daemon(TRAINING_DAEMON_START_IF_STOPPED="1")
    wait_until(lambda: read_coordinator().enabled, seconds=20)
    assert leads(leader)


def test_without_the_flag_a_stop_stays(start_daemon):
    start_training(by=command_line("ada"), origin="tests")
    daemon = start_daemon()
    wait_until(lambda: leads(daemon), seconds=20)
    stop_training(by=command_line("ada"), origin="page")
    time.sleep(5 * INTERVAL_S)
    assert not read_coordinator().enabled


def test_a_lease_from_before_the_clock_was_put_back_holds_no_daemon_up(start_daemon):
    read_coordinator()
    ahead = timezone.now() + timedelta(hours=1)
    Coordinator.objects.update(holder="dead", lease_until=ahead, last_tick_at=ahead)
    start_training(by=command_line("ada"), origin="tests")
    assert read_loop(now=timezone.now()).state == "stalled"
    daemon = start_daemon()
    wait_until(lambda: leads(daemon), seconds=20)
    assert read_loop(now=timezone.now()).state == "running"
