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


@pytest.mark.parametrize("known", [0, 40], ids="{} known".format)
@pytest.mark.parametrize("kind", [selection.QUEUE, selection.CURRICULUM])
def test_a_claim_looks_at_few_sources_however_many_wait(kind, known, db):
    # So many that one index is deeper than the other, and queued in another order than ranked: the index of the one
    # is no help with the other. Statistics know of a few at most.
    host = make_host()
    for number in range(known):
        make_source(host, kind=kind, title=f"known {number}")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE training_trainingsource")
    _queue_copies(make_source(host, kind=kind), count=MANY_MORE)
    before = _count_sources_looked_at()
    assert claim_next_source(now=START + timedelta(days=1)) is not None
    assert _count_sources_looked_at() - before < 50


def _queue_copies(source: TrainingSource, *, count: int) -> None:
    """Sources like this one that rank before it. Postgres writes them: from here it would take far longer."""
    columns = [field.column for field in TrainingSource._meta.concrete_fields if not field.primary_key]
    values = ["-number" if column == "queue_rank" else f'"{column}"' for column in columns]
    table = TrainingSource._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) "
            f"SELECT {', '.join(values)} FROM {table}, generate_series(1, %s) AS number WHERE id = %s",
            [count, source.pk],
        )


def _count_sources_looked_at() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = %s",
            [TrainingSource._meta.db_table],
        )
        return cursor.fetchone()[0]
