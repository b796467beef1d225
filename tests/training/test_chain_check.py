"""The chain is walked again while the product runs: how far it is proven is known, and what breaks it is named."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.factories import START, later, make_outcome
from tests.training.test_seals import change
from training.chain_check import LOOK_EVERY, PASS_EVERY, check_chain, is_chain_check_due, read_chain_check
from training.models import OutcomeSeal
from training.seals import seal_outcomes


@pytest.fixture
def chain(host) -> list[int]:
    """The ids of five sealed outcomes, oldest first."""
    ids = [make_outcome(host, now=later(hours=number), success=number % 2 == 0).pk for number in range(5)]
    assert seal_outcomes() == 5
    return ids


def walk(now: datetime = START) -> tuple[int, int | None]:
    """One piece of work; how far the chain is verified and where it breaks."""
    check_chain(now=now)
    check = read_chain_check()
    return check.verified_rows, check.broken_at


def test_nothing_sealed_is_nothing_to_walk(db):
    assert not is_chain_check_due(now=START)
    assert walk() == (0, None)


def test_sealed_rows_are_verified(chain):
    assert is_chain_check_due(now=START)
    assert walk() == (5, None)


def test_a_walk_goes_on_where_the_last_one_ended(chain):
    assert [check_chain(now=START, limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert read_chain_check().verified_rows == 5


def test_new_rows_are_looked_at_every_ten_seconds(chain, host):
    walk()
    make_outcome(host, now=later(hours=6))
    seal_outcomes()
    assert not is_chain_check_due(now=START + timedelta(seconds=1))
    assert is_chain_check_due(now=START + LOOK_EVERY)
    assert walk(now=START + LOOK_EVERY) == (6, None)


@pytest.mark.parametrize("place", range(5))
def test_a_changed_outcome_is_named_and_ends_the_walk(chain, place):
    change("UPDATE training_outcomes SET success = NOT success WHERE id = %s", chain[place])
    assert walk() == (place, place + 1)
    assert walk() == (place, place + 1)
    assert not is_chain_check_due(now=START + LOOK_EVERY)


def test_an_outcome_taken_out_at_the_end_is_named(chain):
    change("DELETE FROM training_outcomes WHERE id = %s", chain[-1])
    assert walk() == (4, 5)
    change("DELETE FROM training_outcome_seals WHERE outcome_id = %s", chain[-1])  # so that the test's end can check


def test_seals_taken_off_the_end_after_they_were_verified_are_named(chain):
    walk()
    change("DELETE FROM training_outcome_seals WHERE row > 3")
    assert walk(now=START + LOOK_EVERY)[1] is not None


def test_what_is_changed_behind_a_verified_row_is_found_by_the_next_pass(chain):
    walk()
    change("UPDATE training_outcomes SET pages = 99 WHERE id = %s", chain[1])
    assert walk(now=START + LOOK_EVERY) == (5, None)
    assert is_chain_check_due(now=START + PASS_EVERY)
    assert walk(now=START + PASS_EVERY) == (1, 2)


def test_a_mended_chain_verifies_in_the_next_pass(chain):
    change("UPDATE training_outcomes SET pages = pages + 1 WHERE id = %s", chain[2])
    assert walk() == (2, 3)
    change("UPDATE training_outcomes SET pages = pages - 1 WHERE id = %s", chain[2])
    assert walk(now=START + PASS_EVERY) == (5, None)


def test_a_clock_put_back_begins_a_new_pass_and_blocks_nothing(chain):
    walk(now=later(hours=5))
    assert is_chain_check_due(now=START)
    assert walk(now=START) == (5, None)
    assert OutcomeSeal.objects.count() == 5
