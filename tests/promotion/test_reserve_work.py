"""The work on the reserve: safe to kill, for several workers at once, of the lowest rank, and never learned from."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest
from django.db import connection
from django.utils import timezone

from lealife.pipeline import promotion_stages
from lealife.pipeline.bell import ring
from lealife.pipeline.ingestion import ingest_next
from lealife.pipeline.stages import STAGES
from learning.models import MemoryItem
from promotion.candidates.exemplars import read_pool
from promotion.evaluation import reserve
from promotion.evaluation.reserve import is_measuring, measure_next
from promotion.models import Canary, Evaluation, EvaluationArm
from promotion.models.reserve import ReservePair
from tests.promotion.reserves import TASKS, find_gain, measure
from tests.promotion.scenes import (
    Picker,
    change_settings,
    forging,
    make_passed_canary,
    make_tools,
    make_window,
)
from training.models import Host, Run, Step, TrainingOutcome


def test_a_worker_that_dies_between_the_arms_leaves_the_first_for_the_next(apply, servers):
    run_arm, ran = reserve.run_arm, []

    def die_at_second(inputs, **options):
        ran.append(inputs)
        if len(ran) == 2:
            raise KeyboardInterrupt
        return run_arm(inputs, **options)

    with mock.patch.object(reserve, "run_arm", die_at_second), pytest.raises(KeyboardInterrupt):
        measure(servers, Picker())
    kept = EvaluationArm.objects.get()
    measure(servers, Picker())
    assert EvaluationArm.objects.count() == 2 * TASKS
    pair = ReservePair.objects.order_by("pk").first()
    assert kept.pk in (pair.before_arm_id, pair.after_arm_id)


def test_without_a_free_slot_nothing_is_done_now(apply, host, servers):
    change_settings(global_max_concurrent_runs=1)
    Run.objects.create(lane="standard", status="running", host=host, prompt="?", pages_target=1, max_calls=1)
    assert measure(servers, Picker()) == 0
    assert not ReservePair.objects.exists()


def test_a_shutdown_gives_the_arm_up_and_keeps_nothing_of_it(apply, servers):
    tools = make_tools(servers, Picker(), should_stop=lambda: "cancelled")
    assert not measure_next(tools=tools)
    assert not EvaluationArm.objects.exists()
    assert is_measuring()


def ask(host: Host, **values) -> None:
    Run.objects.create(lane="standard", host=host, prompt="?", pages_target=1, max_calls=1, **values)


OTHERS = [
    lambda host, servers: ask(host),
    lambda host, servers: ask(host, status="claimed"),
    lambda host, servers: ask(host, status="running"),
    lambda host, servers: Evaluation.every.update(verdict="pending"),
    lambda host, servers: Canary.objects.update(state="open"),
    lambda host, servers: make_passed_canary(servers, number=2),
]
NAMES = ["queued question", "claimed question", "running question", "evaluation", "canary", "apply"]


@pytest.mark.parametrize("begin", OTHERS, ids=NAMES)
def test_it_gives_way_to_all_other_work_within_a_step(apply, host, servers, begin):
    now, model = timezone.now(), Picker()
    assert promotion_stages.is_reserve_ready(now)

    def interrupt(number: int) -> None:
        with forging():
            begin(host, servers)

    # The other work begins while the first arm asks its model.
    busy = make_tools(servers, Picker(at_call=interrupt))
    assert not promotion_stages.work_reserve(now, tools=busy)
    assert not EvaluationArm.objects.exists()
    assert Run.objects.get(lane="evaluation").error_code == "cancelled"
    assert not promotion_stages.is_reserve_ready(now)
    assert not promotion_stages.work_reserve(now, tools=make_tools(servers, model))
    assert not model.asked


def test_a_hold_of_promotion_does_not_stop_it(apply, servers):
    change_settings(promotion_hold=True)
    with forging():
        Evaluation.every.update(verdict="pending")
    assert promotion_stages.is_reserve_ready(timezone.now())


def test_no_candidate_is_built_before_the_last_apply_is_measured(apply, servers):
    window = make_window("building", number=2)
    assert not STAGES["build"].ready(timezone.now())
    assert not STAGES["build"].work(timezone.now())
    window.refresh_from_db()
    assert window.state == "building"
    measure(servers, Picker())
    assert STAGES["build"].ready(timezone.now())


def test_bells_of_other_stages_come_before_its_next_task(apply, servers):
    tools = make_tools(servers, Picker())
    assert promotion_stages.work_reserve(timezone.now(), tools=tools)
    ring("ingest")
    assert not promotion_stages.work_reserve(timezone.now(), tools=tools)
    assert ReservePair.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_run_each_task_once(apply, servers):
    change_settings(reserved_control_slots=2)
    together = threading.Barrier(2, timeout=30)
    ends = time.monotonic() + 60

    def work(name: str) -> int:
        try:
            together.wait()
            done = 0
            while is_measuring() and time.monotonic() < ends:
                done += measure(servers, Picker(clumsy={apply.from_tag.name}), times=1, worker=name)
            return done
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(work, ("a", "b")))
    assert min(done) >= 1
    assert EvaluationArm.objects.count() == 2 * TASKS
    assert find_gain(apply).wins == TASKS


def test_nothing_of_its_runs_is_learned(apply, servers):
    measure(servers, Picker())
    assert Run.objects.filter(lane="evaluation").count() == 2 * TASKS
    assert not TrainingOutcome.objects.exists()
    assert not ingest_next(timezone.now())
    assert not MemoryItem.objects.exists()


def test_an_exemplar_that_was_planted_from_one_of_its_runs_is_never_used(apply, servers, host):
    measure(servers, Picker())
    step = Step.objects.filter(run__lane="evaluation", index=1).exclude(shortlist=[]).first()
    data = {"run": step.run_id, "step": step.index, "right": 0, "size": len(step.shortlist)}
    MemoryItem.objects.create(host=host, kind="exemplar", key="planted", status="trusted", data=data)
    assert read_pool(role="controller", shortlist_size=3) == read_pool(role="task", shortlist_size=3) == []
