"""The real queue's worker processes, killed while they work off a queue: everything still ends done."""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection
from django.utils import timezone

from lealife.core.places import BASE_DIR
from lealife.pipeline import bell
from lealife.supervisor import Child, Supervisor
from tests.chaos.harbour import Harbour, is_anything_left, open_harbour
from training.heartbeats import read_last_beat
from training.models import Run, TrainingOutcome

pytestmark = pytest.mark.django_db(transaction=True)
QUESTIONS_PER_KILL = 10
# Bells that wait so long while nothing is done mean a wedged cluster; the product waits longer.
WEDGED_AFTER = timedelta(seconds=15)
ENDS_WITHIN_S = 150


@pytest.fixture
def harbour(tmp_path, settings, transactional_db) -> Iterator[Harbour]:
    with open_harbour(folder=tmp_path, settings=settings, hosts=4) as harbour:
        yield harbour


@pytest.fixture
def supervisor(harbour: Harbour, settings) -> Iterator[Supervisor]:
    """`manage.py worker` on the tests' database with short leases, looked after as `manage.py up` does."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    environment = {
        "DATABASE_URL": urlunsplit(parts._replace(path=f"/{connection.settings_dict['NAME']}")),
        "OLLAMA_HOST": settings.OLLAMA_HOST,
        "LEALIFE_WORKERS": "6",
        "LEALIFE_RUN_LEASE_S": "3",
        "LEALIFE_COORDINATOR_LEASE_S": "2",
        "LOG_LEVEL": "ERROR",
    }
    command = [sys.executable, str(BASE_DIR / "manage.py"), "worker"]
    supervisor = Supervisor(say=lambda sentence: None)
    connection.close()
    supervisor.start(Child("workers", command, environment=environment, stop_within_s=20, quiet=True))
    yield supervisor
    supervisor.stop()


def find_busy_worker(*, dead: set[int]) -> int | None:
    """A process that has a run in its hands, if there is one; a dead one's runs wait for their leases to lapse."""
    names = Run.objects.filter(status="running").exclude(claimed_by="").values_list("claimed_by", flat=True)
    pids = [int(name.rpartition(":")[2]) for name in names if name.startswith(f"{socket.gethostname()}:")]
    alive = sorted(set(pids) - dead)
    return random.choice(alive) if alive else None


@pytest.mark.parametrize("kills", [2, pytest.param(6, marks=pytest.mark.soak)])
def test_a_cluster_whose_workers_are_killed_in_mid_run_ends_everything(
    harbour, supervisor, kills, monkeypatch, record_property
):
    monkeypatch.setattr(bell, "WEDGED_AFTER", WEDGED_AFTER)
    questions = kills * QUESTIONS_PER_KILL
    for _ in range(questions):
        harbour.queue()
    killed: set[int] = set()
    restarts, began = 0, time.monotonic()
    while is_anything_left():
        assert time.monotonic() - began < ENDS_WITHIN_S, f"not done after {len(killed)} kills and {restarts} restarts"
        pid = find_busy_worker(dead=killed) if len(killed) < kills else None
        # A kill for every few outcomes, so that they are spread over the whole queue.
        if pid is not None and TrainingOutcome.objects.filter(success=True).count() >= 6 * len(killed):
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        if bell.has_wedged(last_beat_at=read_last_beat(now=timezone.now())):
            supervisor.restart("workers", because="bells wait and nothing is done")
            restarts += 1
        time.sleep(0.02)
    record_property("kills", len(killed))
    record_property("restarts", restarts)
    record_property("seconds", round(time.monotonic() - began, 1))
    assert len(killed) == kills
    assert TrainingOutcome.objects.filter(success=True).count() == questions
    supervisor.stop()
    assert harbour.judge() == {}, list(TrainingOutcome.objects.filter(success=False).values("error_code", "run__error"))
