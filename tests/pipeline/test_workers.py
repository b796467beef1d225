"""The real queue's workers, as processes: they answer bells, lead the loop, and end when they are told to."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection
from django.utils import timezone

from lealife.launching import ask
from lealife.lib.places import BASE_DIR
from lealife.supervisor import Child
from tests.pipeline.test_supervisor import is_running, wait_until
from training.coordinator import read_coordinator, read_loop, start_training
from training.models import Host, Run, WorkerHeartbeat

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
    start_training(by="ada", origin="tests")
    run = ask(prompt="Which page?", host=host, check_spec=None, pages_target=None, by="ada")
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
    start_training(by="ada", origin="tests")
    workers.start()
    wait_until(lambda: read_loop(now=timezone.now()).state == "running", seconds=30)
    pids = read_pids()
    os.kill(workers.process.pid, signal.SIGKILL)
    workers.process.wait(10)
    workers.stop()
    wait_until(lambda: not any(map(is_running, pids)))
