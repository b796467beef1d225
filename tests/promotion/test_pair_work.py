"""Pair work: several workers at one evaluation, and a verdict that does not depend on who finished first."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from promotion.evaluation.arms import run_arm
from promotion.evaluation.comparison import arm_inputs, run_pairs, settle_evaluation
from promotion.evaluation.pair_work import PAIR_LEASE, claim_pair, keep_pair, release_pair
from promotion.gate.e_values import wins_needed
from promotion.gate.error_budget import alpha_for, split_alpha
from promotion.gate.rule import Verdict
from promotion.models import Evaluation, EvaluationPair, ModelTag, PairWork
from promotion.proof.timeline import rebuild_verdict
from tests.promotion.scenes import (
    Picker,
    Servers,
    change_settings,
    make_base_tags,
    make_candidate,
    make_tasks,
    make_tools,
    open_trial,
)
from training.models import Host

PAIRS = 13
# Wins in a row that promote the first candidate.
DECIDED_BY = wins_needed(0, 0, split_alpha(alpha_for(k=1)).better)


def open_scene(host: Host, servers: Servers) -> tuple[Evaluation, ModelTag]:
    """An evaluation of `PAIRS` tasks in which one pick decides, and its baseline."""
    active, _ = make_base_tags(servers)
    make_tasks(host, PAIRS)
    change_settings(controller_max_calls=1, default_pages_target=2, evaluation_pairs=PAIRS, reserved_control_slots=2)
    candidate = make_candidate(servers, active)
    return open_trial(candidate), active


@pytest.fixture
def evaluation(host: Host, servers: Servers) -> Evaluation:
    return open_scene(host, servers)[0]


@pytest.fixture
def now() -> datetime:
    return timezone.now()


def claim(evaluation: Evaluation, worker: str, now: datetime, *, at_once: int = 9) -> int | None:
    return claim_pair(evaluation, worker=worker, at_once=at_once, now=now)


def finish(evaluation: Evaluation, index: int, servers: Servers, model: Picker) -> None:
    """Runs both arms of a pair and lays them down."""
    task = evaluation.tasks.select_related("task").get(index=index)
    tools = make_tools(servers, model)
    arms = [run_arm(arm_inputs(evaluation, task, tag=tag), tools=tools) for tag in (
        evaluation.candidate, evaluation.baseline
    )]  # fmt: skip
    keep_pair(evaluation, index=index, candidate=arms[0], baseline=arms[1])


def test_each_worker_has_a_pair_of_its_own(evaluation, now):
    assert [claim(evaluation, worker, now) for worker in ("a", "b", "c")] == [0, 1, 2]


def test_no_more_workers_than_there_are_slots_for(evaluation, now):
    assert [claim(evaluation, worker, now, at_once=2) for worker in ("a", "b", "c")] == [0, 1, None]


def test_a_worker_that_comes_back_has_its_claim_again(evaluation, now):
    claim(evaluation, "a", now)
    assert claim(evaluation, "a", now, at_once=1) == 0


def test_a_claim_given_back_is_free_and_one_whose_lease_lapsed_too(evaluation, now):
    claim(evaluation, "a", now)
    release_pair(evaluation, index=0, worker="a")
    assert claim(evaluation, "b", now) == 0
    assert claim(evaluation, "c", now + PAIR_LEASE + timedelta(seconds=1)) == 0
    release_pair(evaluation, index=0, worker="b")
    assert PairWork.objects.get().worker == "c"


def test_a_lease_from_before_the_clock_moved_back_is_ignored(evaluation, now):
    claim(evaluation, "a", now + timedelta(days=300))
    assert claim(evaluation, "b", now) == 0


def test_a_pair_finished_early_is_no_evidence_until_those_before_it_are_there(evaluation, servers, now):
    for index, worker in enumerate("abc"):
        assert claim(evaluation, worker, now) == index
    for index in (2, 1):
        finish(evaluation, index, servers, Picker())
        settle_evaluation(evaluation_id=evaluation.pk, changed=[], now=now)
        assert not evaluation.pairs.exists()
    finish(evaluation, 0, servers, Picker())
    settle_evaluation(evaluation_id=evaluation.pk, changed=[], now=now)
    assert list(evaluation.pairs.values_list("index", flat=True)) == [0, 1, 2]
    assert not PairWork.objects.exists()


def test_what_lies_beyond_the_verdict_is_no_evidence(evaluation, servers, now):
    clumsy = Picker(clumsy={evaluation.baseline.name})
    for index in range(7):
        assert claim(evaluation, f"worker {index}", now) == index
        finish(evaluation, index, servers, clumsy)
    decision = settle_evaluation(evaluation_id=evaluation.pk, changed=[], now=now)
    assert decision.verdict is Verdict.PENDING
    for index in (8, *range(9, PAIRS), 7):
        PairWork.objects.create(evaluation=evaluation, index=index, worker="w", lease_until=now)
        finish(evaluation, index, servers, clumsy)
    decision = settle_evaluation(evaluation_id=evaluation.pk, changed=[], now=now)
    assert decision.verdict is Verdict.PROMOTE
    assert evaluation.pairs.count() == DECIDED_BY < PAIRS
    assert not PairWork.objects.exists()
    assert rebuild_verdict(evaluation.pk).fault == ""


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_come_to_the_verdict_of_one(host, servers):
    evaluation, active = open_scene(host, servers)
    ends = time.monotonic() + 60
    together = threading.Barrier(2, timeout=30)

    def work(name: str) -> int:
        tools = replace(make_tools(servers, Picker(clumsy={active.name})), worker=name)
        ran = 0
        try:
            together.wait()
            while time.monotonic() < ends:
                decision = run_pairs(evaluation_id=evaluation.pk, tools=tools, now=timezone.now())
                if decision is not None and decision.verdict is not Verdict.PENDING:
                    return ran
                ran += decision is not None
                time.sleep(0.01)
            raise AssertionError("no verdict")
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        ran = list(pool.map(work, ("a", "b")))
    evaluation.refresh_from_db()
    assert min(ran) >= 1
    assert (evaluation.verdict, evaluation.wins, evaluation.losses) == ("promote", DECIDED_BY, 0)
    assert list(EvaluationPair.objects.values_list("index", flat=True)) == list(range(DECIDED_BY))
    assert rebuild_verdict(evaluation.pk).fault == ""
