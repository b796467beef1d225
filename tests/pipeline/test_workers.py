"""The real queue's workers, as processes: they answer bells, lead the loop, and end when they are told to."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from lealife.core.actors import command_line
from lealife.core.places import BASE_DIR, data_dir
from lealife.management.commands import up
from lealife.pipeline.bell import WEDGED_AFTER, ensure_schedule, ring
from lealife.pipeline.launching import ask
from lealife.supervisor import Child, Supervisor
from tests.pipeline.test_supervisor import is_running, wait_until
from training.coordinator import read_coordinator, read_loop, start_training
from training.models import Coordinator, Host, Run, WorkerHeartbeat

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def workers(transactional_db: None) -> Iterator[Child]:
    """`manage.py worker` on the tests' database; its standard output goes nowhere."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    url = urlunsplit(parts._replace(path=f"/{connection.settings_dict['NAME']}"))
    child = Child(
        "workers",
        [sys.executable, str(BASE_DIR / "manage.py"), "worker"],
        environment={"DATABASE_URL": url, "LEALIFE_WORKERS": "2"},
        stop_within_s=30,
        quiet=True,
    )
    yield child
    child.stop()


def read_pids() -> list[int]:
    """The worker processes that have done something."""
    return [int(name.rpartition(":")[2]) for name in WorkerHeartbeat.objects.values_list("name", flat=True)]


def test_workers_answer_a_bell_lead_the_loop_and_end_cleanly(workers: Child, host: Host):
    start_training(by=command_line("ada"), origin="tests")
    run = ask(prompt="Which page?", host=host, check_spec=None, pages_target=None, by=command_line("ada"))
    workers.start()
    wait_until(lambda: Run.objects.get(pk=run.pk).status == "failed", seconds=30)
    wait_until(lambda: read_loop(now=timezone.now()).state == "running", seconds=30)
    assert Run.objects.get(pk=run.pk).error_code == "model_unavailable"
    pids = read_pids()
    assert pids
    workers.stop()
    assert workers.process.returncode == 0
    wait_until(lambda: not any(map(is_running, pids)))
    # The loop was handed back, not left to lapse.
    assert read_coordinator().lease_until is None


def test_workers_whose_main_process_is_killed_are_ended_with_their_session(workers: Child):
    start_training(by=command_line("ada"), origin="tests")
    workers.start()
    wait_until(lambda: read_loop(now=timezone.now()).state == "running", seconds=30)
    pids = read_pids()
    os.kill(workers.process.pid, signal.SIGKILL)
    workers.process.wait(10)
    workers.stop()
    wait_until(lambda: not any(map(is_running, pids)))


def test_workers_survive_a_restart_of_postgres_without_help():
    # Below this installation's data, where also the user of a server that root starts may go.
    folder = Path(tempfile.mkdtemp(prefix="restarted-", dir=data_dir()))
    command = [sys.executable, "-m", "tests.pipeline.restarted", str(folder), "workers"]
    environment = {**os.environ, "LOG_LEVEL": "ERROR", "OLLAMA_HOST": "http://127.0.0.1:9"}
    try:
        ended = subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, timeout=240)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert (told["same_cluster"], told["error_code"]) == (True, "model_unavailable")
    assert told["ticked_after_s"] < 60
    assert told["answered_after_s"] < 60


def test_a_claim_survives_a_crash_of_postgres_and_its_holder_finishes_it():
    folder = Path(tempfile.mkdtemp(prefix="restarted-", dir=data_dir()))
    command = [sys.executable, "-m", "tests.pipeline.restarted", str(folder), "claim"]
    try:
        ended = subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True, timeout=120)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {
        "same_run_and_fence": True,
        "claimed_again": False,
        "finished": "succeeded",
        "outcomes": 1,
    }


def test_a_wedged_cluster_is_found_and_restarted_by_the_watchdog(workers: Child, monkeypatch):
    monkeypatch.setattr(up, "WATCH_EVERY_S", 0.0)
    said: list[str] = []
    supervisor = Supervisor(say=said.append)
    start_training(by=command_line("ada"), origin="tests")
    supervisor.start(workers)
    wait_until(lambda: read_loop(now=timezone.now()).state == "running", seconds=30)
    watchdog, first = up.Watchdog(supervisor), workers.process.pid
    watchdog.look()
    assert said == []
    # All of them stand still, as after the queue has lost its workers and not noticed.
    os.killpg(first, signal.SIGSTOP)
    ring("tags")
    long_ago = timezone.now() - 2 * WEDGED_AFTER
    OrmQ.objects.update(lock=long_ago)
    WorkerHeartbeat.objects.update(last_beat_at=long_ago)
    Coordinator.objects.update(last_tick_at=long_ago, lease_until=long_ago)
    workers.stop_within_s = 1.0
    watchdog.look()
    assert said == ["workers: bells wait and nothing is done; restarting."]
    assert workers.process.pid != first
    wait_until(lambda: read_loop(now=timezone.now()).state == "running", seconds=40)
    workers.stop_within_s = 30.0


def test_the_coordinators_schedule_is_corrected_after_a_clock_change():
    ensure_schedule()
    Schedule.objects.update(next_run=timezone.now() + timedelta(hours=1))
    ensure_schedule()
    assert Schedule.objects.get().next_run <= timezone.now()
