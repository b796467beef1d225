"""Which source is next: every combination of lane mode, fallback, busy and recent hosts, and campaign lock."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from tests.factories import START
from training import selection
from training.selection import (
    CURRICULUM,
    CURRICULUM_FALLBACK,
    NONE,
    QUEUE,
    QUEUE_PENDING,
    LaneRules,
    Waiting,
)

MODES = (selection.HYBRID, selection.QUEUED_ONLY, selection.AUTOMATIC_ONLY)
START_S = START.timestamp()
LONG_AGO_S = (START - timedelta(minutes=1)).timestamp()
NOBODY: frozenset[int] = frozenset()


def wait_for(source_id: int, *, kind: str = QUEUE, host: int = 1, level: int = 0, **more) -> Waiting:
    return Waiting(source_id=source_id, kind=kind, host_id=host, level=level, rank=float(source_id), **more)


def rules_of(mode: str = selection.HYBRID, *, fallback: bool = True, **more) -> LaneRules:
    return LaneRules(mode=mode, curriculum_fallback=fallback, **more)


def choose(heads: list[Waiting], *, busy: frozenset[int] = NOBODY, **rules) -> Waiting | None:
    return selection.choose_source(heads, rules=rules_of(**rules), busy_hosts=busy)


def id_of(choice: Waiting | None) -> int | None:
    return choice.source_id if choice else None


QUEUED, SEEDED = wait_for(1), wait_for(2, kind=CURRICULUM, host=2)


@pytest.mark.parametrize(
    ("mode", "fallback", "heads", "expected", "selection"),
    [
        (selection.HYBRID, True, [QUEUED, SEEDED], 1, QUEUE_PENDING),
        (selection.HYBRID, False, [QUEUED, SEEDED], 1, QUEUE_PENDING),
        (selection.HYBRID, True, [SEEDED], 2, CURRICULUM_FALLBACK),
        (selection.HYBRID, False, [SEEDED], None, NONE),
        (selection.QUEUED_ONLY, True, [QUEUED, SEEDED], 1, QUEUE_PENDING),
        (selection.QUEUED_ONLY, True, [SEEDED], None, NONE),
        (selection.QUEUED_ONLY, False, [SEEDED], None, NONE),
        (selection.AUTOMATIC_ONLY, True, [QUEUED, SEEDED], 2, CURRICULUM_FALLBACK),
        (selection.AUTOMATIC_ONLY, False, [QUEUED, SEEDED], 2, CURRICULUM_FALLBACK),
        (selection.AUTOMATIC_ONLY, True, [QUEUED], None, NONE),
        *[(mode, fallback, [], None, NONE) for mode, fallback in itertools.product(MODES, (True, False))],
    ],
)
def test_the_lane_mode_and_the_fallback_decide_between_queue_and_curriculum(mode, fallback, heads, expected, selection):
    choice = choose(heads, mode=mode, fallback=fallback)
    assert (id_of(choice), choice.selection_mode if choice else NONE) == (expected, selection)


@pytest.mark.parametrize("mode", MODES)
def test_a_host_with_a_running_training_run_is_never_chosen(mode):
    heads = [wait_for(1, host=1), wait_for(2, kind=CURRICULUM, host=1)]
    assert choose(heads, mode=mode, busy=frozenset({1})) is None


def test_the_curriculum_waits_while_every_queued_host_is_busy():
    assert choose([QUEUED, SEEDED], busy=frozenset({1})) is None


def test_a_free_host_is_chosen_when_another_is_busy():
    assert id_of(choose([wait_for(1, host=1), wait_for(2, host=2)], busy=frozenset({1}))) == 2


def test_a_recently_served_host_is_avoided_while_others_wait():
    heads = [wait_for(1, host=1), wait_for(2, host=2)]
    assert id_of(choose(heads, recent_hosts=(1,))) == 2


def test_a_recently_served_host_is_chosen_when_no_other_waits():
    assert id_of(choose([wait_for(1, host=1)], recent_hosts=(1,))) == 1


def test_a_recently_served_host_is_chosen_when_the_others_are_busy():
    heads = [wait_for(1, host=1), wait_for(2, host=2)]
    assert id_of(choose(heads, recent_hosts=(1,), busy=frozenset({2}))) == 1


def test_the_higher_level_comes_first():
    assert id_of(choose([wait_for(1, host=1, level=0), wait_for(2, host=2, level=3)])) == 2


def test_within_a_level_the_host_served_longest_ago_comes_first():
    heads = [
        wait_for(1, host=1, host_served_s=START_S),
        wait_for(2, host=2, host_served_s=LONG_AGO_S),
    ]
    assert id_of(choose(heads)) == 2


def test_within_a_level_a_host_never_served_comes_before_all():
    assert id_of(choose([wait_for(1, host=1, host_served_s=START_S), wait_for(2, host=2)])) == 2


def test_within_a_level_and_turn_the_source_queued_first_comes_first():
    assert id_of(choose([wait_for(9, host=1), wait_for(3, host=2), wait_for(5, host=3)])) == 3


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_choice_does_not_depend_on_the_order_of_the_heads(order):
    heads = [wait_for(number, host=number, level=number % 2) for number in range(1, 5)]
    assert id_of(choose([heads[place] for place in order])) == 1


@pytest.mark.parametrize("turn", range(2 * selection.FAIR_EVERY))
def test_every_tenth_pick_goes_by_turn_whatever_the_level(turn):
    heads = [
        wait_for(1, host=1, level=99, host_served_s=START_S),
        wait_for(2, host=2, level=-99, host_served_s=LONG_AGO_S),
    ]
    assert id_of(choose(heads, turn=turn)) == (2 if turn in (9, 19) else 1)


@pytest.mark.parametrize("turn", range(selection.FAIR_EVERY))
def test_no_turn_takes_a_busy_host_or_another_campaign(turn):
    heads = [wait_for(1, host=1), wait_for(2, host=2), wait_for(3, host=3, campaign_id=7)]
    assert id_of(choose(heads, turn=turn, busy=frozenset({1}))) == 2
    assert id_of(choose(heads, turn=turn, locked_campaign_id=7)) == 3


def test_under_the_campaign_lock_only_the_locked_campaign_is_chosen():
    heads = [wait_for(1, host=1, level=9), wait_for(2, host=2, campaign_id=7)]
    assert id_of(choose(heads, locked_campaign_id=7)) == 2


def test_under_the_campaign_lock_nothing_else_runs_while_its_host_is_busy():
    heads = [wait_for(1, host=1), wait_for(2, host=2, campaign_id=7)]
    assert choose(heads, locked_campaign_id=7, busy=frozenset({2})) is None


def test_under_the_campaign_lock_the_curriculum_waits_until_the_campaign_has_drained():
    assert choose([SEEDED], locked_campaign_id=7) is None


def test_automatic_only_runs_the_curriculum_whatever_campaign_is_locked():
    choice = choose([wait_for(1, campaign_id=7), SEEDED], mode=selection.AUTOMATIC_ONLY, locked_campaign_id=7)
    assert (id_of(choice), choice.selection_mode) == (2, CURRICULUM_FALLBACK)


def test_the_host_policy_is_derived_from_the_campaign_lock():
    assert selection.host_policy_sentence(campaign_lock=True) == "Strict single-host lock"
    assert selection.host_policy_sentence(campaign_lock=False) == "Host-diverse concurrent mode"


@pytest.mark.parametrize("mode", MODES)
def test_every_lane_mode_has_its_sentence(mode):
    assert selection.LANE_SENTENCES[mode].endswith(".")
