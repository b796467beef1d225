"""A claim reads no more heads of the queue than decide: what it chooses is what all of them would make it choose."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.db import transaction

from tests.factories import START, later, make_host, make_outcome, make_source
from training.lane_state import lock_for_claim, read_for_preview, read_lane_state
from training.models import Host, Run

HOSTS = 14


@pytest.mark.parametrize("window", [0, 3, 20])
@pytest.mark.parametrize("seed", range(3))
def test_a_claim_chooses_from_its_few_heads_as_from_all(settle, seed, window):
    settle(training_max_active_runs=50, global_max_concurrent_runs=60, recent_host_window=window)
    chance = random.Random(seed)
    hosts = [
        make_host(
            # Some hosts were served at the same moment, some never.
            last_served_at=chance.choice([None, START, START - timedelta(minutes=chance.randrange(90))]),
            claims=chance.randrange(30),
            enabled=chance.random() < 0.9,
        )
        for _ in range(HOSTS)
    ]
    for host in hosts:
        for _ in range(chance.randrange(4)):
            make_source(host, priority=chance.choice([0, 0, 1, 5]), queued_at=later(seconds=chance.randrange(3)))
    for host in chance.sample(hosts, 3):
        Run.objects.create(host=host, lane="training", status="running", prompt="p", pages_target=1, max_calls=1)
    now = later(minutes=20)
    for turn in range(10):
        for wanted in (1, 2, 5):
            with transaction.atomic():
                few = read_lane_state(lock_for_claim(now=now, wanted=wanted), now=now)
            every = read_lane_state(read_for_preview(), now=now)
            assert list(few.choose_many(wanted)) == list(every.choose_many(wanted)), f"turn {turn}, {wanted} wanted"
            assert len(few.heads) <= len(every.heads)
        make_outcome(Host.objects.order_by("id").last())
