"""Bells and stages: what a bell drains, when it stops, and that a stage that works alone does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from zlib import crc32

import pytest
from django.db import connection, transaction
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from lealife.core.actors import command_line
from lealife.core.announce import open_connection
from lealife.pipeline import stages
from lealife.pipeline.bell import (
    WEDGED_AFTER,
    ensure_schedule,
    has_wedged,
    read_queue_depth,
    ring,
    ring_coordinator,
)
from lealife.pipeline.draining import is_draining, start_draining
from lealife.pipeline.stages import Stage, Sweeper, coordinate, drain, launch_training, sweep
from promotion.models import ModelTag
from tests.embedded.ollama_process import RunningOllama
from tests.pipeline.scenes import interrupt, queue_question
from tests.promotion.scenes import change_settings
from training.coordinator import read_coordinator, read_loop, start_training
from training.models import Host, Run, TrainingOutcome, WorkerHeartbeat

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_may_drain")]


class Probe:
    """A stage that counts its pieces of work and how many hands work at the same time."""

    def __init__(self, *, pieces: int, takes_s: float = 0.0, during: Callable[[], None] = lambda: None) -> None:
        self.left, self.done, self.hands, self.most_hands = pieces, 0, 0, 0
        self._takes_s, self._during, self._lock = takes_s, during, threading.Lock()

    def work(self, now: datetime) -> bool:
        with self._lock:
            if not self.left:
                return False
            self.left -= 1
            self.hands += 1
            self.most_hands = max(self.most_hands, self.hands)
        self._during()
        time.sleep(self._takes_s)
        with self._lock:
            self.hands -= 1
            self.done += 1
        return True


@pytest.fixture
def add_stage(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def add(probe: Probe, **kind: bool) -> None:
        stage = Stage("probe", lambda now: probe.left > 0, probe.work, **kind)
        monkeypatch.setitem(stages.STAGES, "probe", stage)

    return add


def drain_by(threads: int) -> list[int]:
    """What each of so many workers did, all rung at the same moment."""
    start, done = threading.Barrier(threads), []

    def run() -> None:
        try:
            connection.ensure_connection()
            start.wait()
            done.append(drain("probe"))
        finally:
            connection.close()

    workers = [threading.Thread(target=run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return done


# Draining.


def test_a_bell_works_until_nothing_is_ready(add_stage):
    probe = Probe(pieces=5)
    add_stage(probe, alone=True)
    assert drain("probe") == 5
    assert drain("probe") == 0


def test_a_bell_delivered_twice_is_harmless(add_stage):
    probe = Probe(pieces=20, takes_s=0.005)
    add_stage(probe, alone=False)
    assert sum(drain_by(2)) == probe.done == 20


def test_a_shutdown_ends_draining_after_the_piece_in_hand(add_stage):
    probe = Probe(pieces=5, during=start_draining)
    add_stage(probe, alone=True)
    assert drain("probe") == 1
    assert (probe.done, probe.left) == (1, 4)
    assert drain("probe") == 0


def test_a_hold_ends_a_stage_that_promotes_after_the_piece_in_hand(add_stage):
    probe = Probe(pieces=5, during=lambda: change_settings(promotion_hold=True))
    add_stage(probe, promotes=True)
    assert drain("probe") == 1
    assert drain("probe") == 0
    add_stage(probe, promotes=False)
    assert drain("probe") == 4


@pytest.mark.model
def test_a_shutdown_lets_the_run_in_flight_finish_and_begins_no_other(host: Host, pages, ollama: RunningOllama):
    pages["/"] = interrupt(pages["/"], start_draining)
    queue_question(host)
    launch_training(timezone.now())
    waiting = Run.objects.create(
        lane="standard", status="claimed", host=host, prompt="Later?", pages_target=1, max_calls=1, fence=1
    )
    assert drain("execute") == 1
    assert is_draining()
    assert TrainingOutcome.objects.get().success
    waiting.refresh_from_db()
    assert (waiting.status, waiting.claimed_by) == ("claimed", "")


def test_a_bell_gives_its_worker_back_and_rings_again_when_its_time_is_up(add_stage, monkeypatch):
    probe = Probe(pieces=100, takes_s=0.02)
    add_stage(probe, alone=True)
    monkeypatch.setattr(stages, "HOLD_S", 0.5)
    done = drain("probe")
    assert 0 < done < 100
    assert OrmQ.objects.count() == 1


def test_draining_says_what_the_worker_does(add_stage):
    seen = []
    add_stage(Probe(pieces=1, during=lambda: seen.append(WorkerHeartbeat.objects.get().doing)), alone=True)
    drain("probe")
    assert seen == ["probe"]
    assert WorkerHeartbeat.objects.get().doing == ""


# One at a time.


def test_a_stage_that_works_alone_has_one_worker_at_a_time(add_stage):
    probe = Probe(pieces=6, takes_s=0.02)
    add_stage(probe, alone=True)
    drain_by(4)
    assert probe.most_hands == 1


def test_a_stage_that_does_not_has_many(add_stage):
    # Nobody goes on before all three are there.
    meeting = threading.Barrier(3, timeout=30)
    probe = Probe(pieces=3, during=meeting.wait)
    add_stage(probe, alone=False)
    assert drain_by(3) == [1, 1, 1]
    assert probe.most_hands == 3


def test_a_worker_killed_in_a_stage_does_not_keep_it(add_stage):
    probe = Probe(pieces=1)
    add_stage(probe, alone=True)
    with open_connection() as killed:
        killed.execute("SELECT pg_advisory_lock(%s)", [crc32(b"stage probe")])
        assert drain("probe") == 0
        with open_connection() as administrator:
            administrator.execute("SELECT pg_terminate_backend(%s, 5000)", [killed.info.backend_pid])
        assert drain("probe") == 1


def test_a_stage_that_fails_gives_its_place_back(add_stage):
    def fail() -> None:
        raise RuntimeError("broken")

    add_stage(Probe(pieces=1, during=fail), alone=True)
    with pytest.raises(RuntimeError, match="broken"):
        drain("probe")
    add_stage(Probe(pieces=1), alone=True)
    assert drain_by(1) == [1]


# Bells.


def test_a_bell_joins_the_transaction_and_goes_with_it():
    def ring_and_fail() -> None:
        with transaction.atomic():
            ring("execute")
            assert OrmQ.objects.count() == 1
            raise RuntimeError("undone")

    with pytest.raises(RuntimeError, match="undone"):
        ring_and_fail()
    assert OrmQ.objects.count() == 0
    with transaction.atomic():
        ring("execute")
    assert read_queue_depth() == 1


def test_a_claim_that_is_undone_takes_its_bell_with_it(host: Host):
    queue_question(host)

    def wrapper(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if "INSERT INTO" in sql and "django_q_ormq" in sql:
            raise RuntimeError("power cut")
        return result

    start_tags()
    with connection.execute_wrapper(wrapper), pytest.raises(RuntimeError, match="power cut"):
        launch_training(timezone.now())
    assert (OrmQ.objects.count(), Run.objects.count()) == (0, 0)
    assert launch_training(timezone.now()) == 1
    assert OrmQ.objects.count() == 1


def start_tags() -> None:
    """An active controller tag, without which nothing is launched."""
    ModelTag.objects.create(
        role="controller", name="c:1", digest="d", base="b", recipe_digest="r", status=ModelTag.Status.ACTIVE
    )


def test_the_schedule_of_the_coordinator_is_made_once():
    ensure_schedule()
    ensure_schedule()
    assert Schedule.objects.get().func == "lealife.pipeline.stages.coordinate"


def test_bells_that_wait_while_nothing_is_done_mean_a_wedged_queue():
    ring_coordinator()
    now = timezone.now()
    assert not has_wedged(last_beat_at=None)
    OrmQ.objects.update(lock=now - WEDGED_AFTER * 2)
    assert has_wedged(last_beat_at=None)
    assert has_wedged(last_beat_at=now - WEDGED_AFTER * 2)
    assert not has_wedged(last_beat_at=now)


# The loop.


def test_the_sweep_rings_what_was_lost_but_leaves_a_busy_queue_alone(add_stage):
    add_stage(Probe(pieces=1), alone=True)
    for _ in range(50):
        sweep(timezone.now())
    assert 1 <= OrmQ.objects.count() <= 3 * len(stages.STAGES)
    OrmQ.objects.all().delete()
    sweep(timezone.now())
    assert OrmQ.objects.exists()


def test_a_stopped_loop_launches_nothing_and_a_started_one_does(host: Host):
    start_tags()
    queue_question(host)
    assert Sweeper().tick(timezone.now()) == 0
    start_training(by=command_line("ada"), origin="tests")
    assert Sweeper().tick(timezone.now()) == 1
    assert Run.objects.get().status == "claimed"


def test_one_coordinator_leads_and_hands_over_at_a_shutdown(monkeypatch):
    start_training(by=command_line("ada"), origin="tests")
    monkeypatch.setattr(stages, "HOLD_S", 2.0)
    led = []

    def lead(name: str) -> None:
        monkeypatch.setattr(stages, "worker_name", lambda: name)
        try:
            led.append(coordinate())
        finally:
            connection.close()

    leader = threading.Thread(target=lead, args=("first",))
    leader.start()
    while read_coordinator().last_tick_at is None:
        time.sleep(0.02)
    lead("second")
    assert led == [False]
    assert read_loop(now=timezone.now()).state == "running"
    leader.join()
    assert led == [False, True]
    assert read_coordinator().lease_until is None
    # It rang for the next to lead.
    assert OrmQ.objects.count() >= 1
