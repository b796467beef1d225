"""Politeness over all runs and machines: turns are handed out by Postgres."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from tests.factories import make_host
from training.models import Host, HostTurn
from training.turns import FURTHEST_S, HostPace

pytestmark = pytest.mark.django_db


def test_the_second_of_two_processes_waits_for_the_delay(host: Host) -> None:
    first, second = HostPace.of(host), HostPace.of(host)
    assert first.reserve_turn(delay_s=5, within_s=60) == 0
    assert second.reserve_turn(delay_s=5, within_s=60) == pytest.approx(5, abs=0.5)
    assert first.reserve_turn(delay_s=5, within_s=60) == pytest.approx(10, abs=0.5)


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_no_two_get_the_same_turn(race: Any) -> None:
    host = make_host()
    waits = race(*[lambda: HostPace.of(host).reserve_turn(delay_s=2, within_s=60) for _ in range(8)])
    assert [round(wait / 2) for wait in sorted(waits)] == list(range(8))


def test_a_turn_that_is_too_far_away_is_not_taken(host: Host) -> None:
    pace = HostPace.of(host)
    pace.reserve_turn(delay_s=30, within_s=60)
    before = HostTurn.objects.get().next_at
    assert pace.reserve_turn(delay_s=30, within_s=10) is None
    assert HostTurn.objects.get().next_at == before


def test_what_a_site_asked_for_holds_for_every_process(host: Host) -> None:
    HostPace.of(host).postpone(seconds=40)
    assert HostPace.of(host).reserve_turn(delay_s=1, within_s=60) == pytest.approx(40, abs=0.5)
    HostPace.of(host).postpone(seconds=1)
    assert HostPace.of(host).reserve_turn(delay_s=1, within_s=60) == pytest.approx(41, abs=0.5)


def test_two_hosts_on_one_server_share_its_turns_and_two_servers_do_not() -> None:
    one = make_host(base_url="http://shared.example/one/")
    two = make_host(base_url="http://shared.example:80/two/")
    other = make_host(base_url="http://other.example/")
    assert HostPace.of(one).reserve_turn(delay_s=5, within_s=60) == 0
    assert HostPace.of(two).reserve_turn(delay_s=5, within_s=60) == pytest.approx(5, abs=0.5)
    assert HostPace.of(other).reserve_turn(delay_s=5, within_s=60) == 0


def test_a_turn_left_in_the_future_by_a_clock_change_blocks_nothing(host: Host) -> None:
    pace = HostPace.of(host)
    HostTurn.objects.create(origin=pace.origin, next_at=Now() + timedelta(seconds=FURTHEST_S + 60))
    assert pace.reserve_turn(delay_s=1, within_s=60) == 0
    assert pace.reserve_turn(delay_s=1, within_s=60) == pytest.approx(1, abs=0.5)
