"""The chain is walked again while the product runs: how far it is proven is known, and what breaks it is named."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection

from tests.factories import START, later, make_host, make_outcome
from tests.guards import behind_guards
from tests.training.test_seals import change
from training.anchors import read_file
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


def cut_off(*, after: int, anchors: bool = False) -> None:
    """What a superuser can do: outcomes and seals taken off the end, triggers off; with `anchors` theirs too."""
    with behind_guards(), connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM training_outcomes USING training_outcome_seals AS seal "
            "WHERE seal.outcome_id = training_outcomes.id AND seal.row > %s",
            [after],
        )
        cursor.execute("DELETE FROM training_outcome_seals WHERE row > %s", [after])
        if anchors:
            cursor.execute("DELETE FROM training_chain_anchors")


def read_fault(now: datetime = START) -> str:
    check_chain(now=now)
    return read_chain_check().fault


@pytest.mark.parametrize("walked_before", [True, False])
@pytest.mark.parametrize("left", [0, 3, 4])
def test_a_chain_that_lost_its_end_is_shorter_than_its_anchor(chain, left, walked_before):
    if walked_before:
        walk()
    cut_off(after=left)
    assert is_chain_check_due(now=START + LOOK_EVERY)
    assert read_fault(START + LOOK_EVERY) == f"Chain is shorter than its anchor: {left} of 5 seals."


def test_a_shortened_and_continued_chain_differs_from_its_anchor(chain, host):
    cut_off(after=3)
    for hour in (6, 7, 8):
        make_outcome(host, now=later(hours=hour))
    assert seal_outcomes() == 3
    assert read_fault() == "Row 5 of the chain is not the one that was anchored: the chain was rewritten."


def test_the_file_finds_what_was_taken_away_together_with_the_anchors(transactional_db, settings):
    host = make_host()
    for number in range(3):
        make_outcome(host, now=later(hours=number))
    assert seal_outcomes() == 3
    cut_off(after=1, anchors=True)
    assert read_fault().startswith("Chain is shorter than its anchor: 1 of 3 seals. Only chain-anchor-")
    # What is sealed afterwards does not wipe the trace out.
    for number in range(3, 9):
        make_outcome(host, now=later(hours=number))
    assert seal_outcomes() == 6
    assert read_file().rows == 3
    assert read_fault(START + PASS_EVERY).startswith("Row 3 of the chain is not the one that was anchored")


def test_an_emptied_database_is_found_by_the_file(transactional_db):
    make_outcome(make_host())
    seal_outcomes()
    with behind_guards(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE training_outcomes, training_chain_anchors, training_chaincheck CASCADE")
    assert is_chain_check_due(now=START)
    assert read_fault().startswith("Chain is shorter than its anchor: 0 of 1 seals.")


def test_seals_that_are_made_again_reach_the_anchor(chain):
    change("DELETE FROM training_outcome_seals WHERE row > 3")
    assert seal_outcomes() == 2
    assert read_fault() == ""
    assert walk() == (5, None)
