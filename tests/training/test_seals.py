"""The hash chain: it verifies, and it names the row that was tampered with behind the triggers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from tests.factories import START, later, make_host, make_outcome, make_source
from training.chain_check import check_chain, read_chain_check
from training.models import ChainCheck, OutcomeSeal
from training.runs import fail_lapsed_runs
from training.seals import GENESIS, SEAL_LOCK, count_unsealed, seal_outcomes


@pytest.fixture
def chain(host) -> list[int]:
    """The ids of five sealed outcomes, oldest first."""
    ids = [make_outcome(host, now=later(hours=number), success=number % 2 == 0).pk for number in range(5)]
    assert seal_outcomes() == 5
    return ids


@contextmanager
def behind_the_triggers(*tables: str) -> Iterator[None]:
    """What somebody with the database in hand can do: triggers and foreign keys off."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    yield
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")


def change(sql: str, *values: object) -> None:
    with (
        behind_the_triggers("training_outcomes", "training_outcome_seals"),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql, values)


def walk_chain() -> tuple[int, int | None]:
    """Walks from the first row on, whatever was walked before: how far it verifies, and which row does not follow."""
    ChainCheck.objects.all().delete()
    check_chain(now=START)
    check = read_chain_check()
    return check.verified_rows, check.broken_at


def test_an_empty_chain_verifies(db):
    assert (walk_chain(), count_unsealed()) == ((0, None), 0)


def test_an_untouched_chain_verifies(chain):
    assert (walk_chain(), count_unsealed()) == ((5, None), 0)


def test_each_row_follows_the_one_before(chain):
    seals = list(OutcomeSeal.objects.order_by("row"))
    assert [seal.row for seal in seals] == [1, 2, 3, 4, 5]
    assert [seal.previous_hash for seal in seals] == [GENESIS, *[seal.hash for seal in seals[:-1]]]


def test_sealing_again_adds_nothing(chain):
    assert seal_outcomes() == 0


def test_outcomes_are_sealed_a_batch_at_a_time(host):
    for number in range(3):
        make_outcome(host, now=later(hours=number))
    assert [seal_outcomes(limit=2), seal_outcomes(limit=2), seal_outcomes(limit=2)] == [2, 1, 0]
    assert walk_chain() == (3, None)


def test_unsealed_outcomes_are_reported(chain, host):
    make_outcome(host, now=later(hours=9))
    assert (walk_chain(), count_unsealed()) == ((5, None), 1)


@pytest.mark.parametrize(
    "column", ["error_code", "verifier", "served_controller_digest", "pages", "created_at", "memory_used", "canary_id"]
)
def test_every_column_of_an_outcome_is_under_the_seal(chain, column):
    values = {"pages": 99, "created_at": START, "memory_used": "[7]", "canary_id": 7}
    change(f"UPDATE training_outcomes SET {column} = %s WHERE id = %s", values.get(column, "forged"), chain[2])
    assert walk_chain() == (2, 3)


def test_a_changed_seal_is_named(chain):
    change("UPDATE training_outcome_seals SET hash = %s WHERE row = 2", "f" * 64)
    assert walk_chain() == (1, 2)


def test_a_seal_taken_out_of_the_middle_is_named(chain):
    change("DELETE FROM training_outcome_seals WHERE row = 3")
    assert walk_chain() == (2, 3)


@pytest.mark.parametrize("place", [1, 4])
def test_an_outcome_taken_out_under_its_seal_is_named(chain, place):
    change("DELETE FROM training_outcomes WHERE id = %s", chain[place])
    assert walk_chain() == (place, place + 1)
    change("DELETE FROM training_outcome_seals WHERE outcome_id = %s", chain[place])  # so that the test's end can check


def test_swapped_rows_are_named(chain):
    change("UPDATE training_outcome_seals SET row = CASE row WHEN 2 THEN 13 ELSE 12 END WHERE row IN (2, 3)")
    change("UPDATE training_outcome_seals SET row = row - 10 WHERE row > 10")
    assert walk_chain() == (1, 2)


def test_a_second_sealer_leaves_the_work_to_the_first(race):
    make_outcome(make_host())
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SEAL_LOCK])
        assert race(seal_outcomes) == [0]
    assert seal_outcomes() == 1


def test_sealers_that_race_make_one_chain(race):
    host = make_host()
    for number in range(6):
        make_outcome(host, now=later(hours=number))
    race(*[lambda: [seal_outcomes(limit=2) for _ in range(4)] for _ in range(4)])
    seal_outcomes()
    assert walk_chain() == (6, None)


def test_an_outcome_of_a_lost_worker_is_sealed_like_any_other(host):
    from training.claims import claim_next_source

    make_source(host)
    claim_next_source(now=START)
    fail_lapsed_runs(now=later(minutes=1))
    assert seal_outcomes() == 1
    assert walk_chain() == (1, None)
