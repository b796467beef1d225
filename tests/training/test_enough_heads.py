"""A claim reads no more heads of the queue than decide: what it chooses is what all of them would make it choose."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.db import connection, transaction

from lealife.core.statements import write_insert
from tests.factories import START, later, make_host, make_outcome, make_source
from training import selection
from training.claims import claim_next_source
from training.models import Host, Run, TrainingSource
from training.selection_state import lock_for_claim, read_for_preview, read_lane_state

HOSTS = 14
MANY_MORE = write_insert(
    TrainingSource,
    "FROM generate_series(1, 30000) AS number",
    kind="%s",
    title="'t'",
    prompt="'p'",
    host_id="%s",
    queue_rank="-number",
)


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


@pytest.mark.parametrize("kind", [selection.QUEUE, selection.CURRICULUM])
def test_a_claim_looks_at_few_sources_however_many_wait(kind, db):
    # So many that one index is deeper than the other, and queued in another order than ranked: the index of the one
    # is no help with the other. Statistics know of none of them.
    source = make_source(make_host(), kind=kind)
    with connection.cursor() as cursor:
        cursor.execute(MANY_MORE, [kind, source.host_id])
    before = _count_sources_looked_at()
    assert claim_next_source(now=START + timedelta(days=1)) is not None
    assert _count_sources_looked_at() - before < 50


def _count_sources_looked_at() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = %s",
            [TrainingSource._meta.db_table],
        )
        return cursor.fetchone()[0]
