"""A claim looks at the head of each host's queue, however many sources wait behind it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from tests.factories import START, make_host, make_source
from training import selection
from training.claims import claim_next_source
from training.models import TrainingSource

MANY_MORE = 30_000


@pytest.mark.parametrize("kind", [selection.QUEUE, selection.CURRICULUM])
def test_a_claim_looks_at_few_sources_however_many_wait(kind, db):
    # So many that one index is deeper than the other, and queued in another order than ranked: the index of the one
    # is no help with the other. Statistics know of none of them.
    source = make_source(make_host(), kind=kind)
    TrainingSource.objects.bulk_create(
        TrainingSource(kind=kind, title="t", prompt="p", host_id=source.host_id, queue_rank=-number)
        for number in range(MANY_MORE)
    )
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
