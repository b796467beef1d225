"""The coordinator: one leads, another takes over, and none is shown as running that does not run."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from lealife.core.actors import command_line
from tests.factories import START, begin_claimed, finish, later, make_source
from training.coordinator import (
    LEASE,
    find_reversal,
    read_coordinator,
    read_loop,
    record_tick,
    release_lease,
    reverse_stop,
    run_loop,
    start_training,
    stop_training,
    take_lease,
)
from training.models import AuditEntry, Coordinator, Host

LAPSED = later(seconds=LEASE.total_seconds() + 1)


def test_a_second_holder_cannot_lead_while_the_lease_is_fresh(db):
    assert take_lease(holder="one", now=START) == 1
    assert take_lease(holder="two", now=later(seconds=14)) is None


def test_another_takes_over_after_a_release(db):
    release_lease(fence=take_lease(holder="one", now=START))
    assert take_lease(holder="two", now=START) == 2


def test_another_takes_over_after_a_lapse_and_the_first_ticks_no_more(db):
    first = take_lease(holder="one", now=START)
    second = take_lease(holder="two", now=LAPSED)
    assert not record_tick(fence=first, now=LAPSED, launched=3)
    assert record_tick(fence=second, now=LAPSED, launched=0)
    assert read_coordinator().last_launch_at is None


def test_a_holder_that_lost_the_lease_cannot_release_it(db):
    first = take_lease(holder="one", now=START)
    take_lease(holder="two", now=LAPSED)
    release_lease(fence=first)
    assert take_lease(holder="three", now=LAPSED) is None


def test_holders_that_race_give_one_leader(race, db):
    read_coordinator()
    fences = race(*[lambda name=name: take_lease(holder=name, now=START) for name in "abcdef"])
    assert sum(fence is not None for fence in fences) == 1


def test_a_tick_says_when_it_ticked_and_launched(db):
    fence = take_lease(holder="one", now=START)
    record_tick(fence=fence, now=later(seconds=1), launched=2)
    row = read_coordinator()
    assert (row.last_tick_at, row.last_launch_at) == (later(seconds=1),) * 2


def test_postgres_holds_one_coordinator_row(db):
    from django.db import IntegrityError, transaction

    read_coordinator()
    with pytest.raises(IntegrityError, match="one_row_of_coordinator"), transaction.atomic():
        Coordinator.objects.create(id=2)


def test_training_that_is_not_allowed_is_stopped(db):
    take_lease(holder="one", now=START)
    assert (read_loop(now=START).enabled, read_loop(now=START).state) == (False, "stopped")


def test_training_that_is_allowed_and_ticks_is_running(db):
    start_training(by=command_line("ada"), origin="api")
    record_tick(fence=take_lease(holder="one", now=START), now=START, launched=0)
    loop = read_loop(now=later(seconds=5))
    assert (loop.enabled, loop.state, loop.holder) == (True, "running", "one")


def test_training_that_is_allowed_but_never_ticked_is_unknown(db):
    start_training(by=command_line("ada"), origin="api")
    assert read_loop(now=START).state == "unknown"


def test_training_that_is_allowed_but_silent_is_stalled(db):
    start_training(by=command_line("ada"), origin="api")
    record_tick(fence=take_lease(holder="one", now=START), now=START, launched=0)
    loop = read_loop(now=later(seconds=60))
    assert (loop.state, loop.holder) == ("stalled", "")
    assert loop.reason == "Training is allowed, but there has been no tick for 60 s."


def test_start_and_stop_are_logged_once_each(db):
    for change in (start_training, start_training, stop_training, stop_training):
        change(by=command_line("ada"), origin="page")
    actions = AuditEntry.objects.order_by("id").values_list("actor", "origin", "action")
    assert list(actions) == [("ada", "page", "start training"), ("ada", "page", "stop training")]


def test_starting_says_who_did_it(db):
    row = start_training(by=command_line("ada"), origin="page")
    assert (row.enabled, row.enabled_changed_by) == (True, "ada (page)")


def test_stopping_leaves_runs_in_flight_to_their_end(host):
    start_training(by=command_line("ada"), origin="api")
    make_source(host)
    run = begin_claimed()
    stop_training(by=command_line("ada"), origin="api")
    assert finish(run).status == "succeeded"


# A daemon that starts training again.

DAEMON = {"daemon": "training_daemon on host-7", "origin": "TRAINING_DAEMON_START_IF_STOPPED"}


def test_a_reversed_stop_is_shown_with_both_names(db):
    start_training(by=command_line("ada"), origin="api")
    stopped = stop_training(by=command_line("ada"), origin="page")
    assert reverse_stop(**DAEMON)
    reversal = read_loop(now=START).reversal
    assert (reversal.daemon, reversal.stopped_by) == ("training_daemon on host-7", "ada (page)")
    assert reversal.stopped_at == stopped.enabled_changed_at
    assert reversal.sentence.startswith("training_daemon on host-7 started the loop again after a Stop by ada (page)")
    entry = AuditEntry.objects.first()
    assert (entry.actor, entry.action) == ("training_daemon on host-7", "start training")
    assert entry.details == {"reverses": reversal.sentence}


def test_a_daemon_that_starts_never_stopped_training_reverses_nothing(db):
    assert reverse_stop(**DAEMON)
    loop = read_loop(now=START)
    assert (loop.enabled, loop.reversal) == (True, None)


def test_training_that_is_allowed_is_not_started_again(db):
    start_training(by=command_line("ada"), origin="api")
    assert not reverse_stop(**DAEMON)
    assert read_loop(now=START).reversal is None
    assert AuditEntry.objects.count() == 1


@pytest.mark.parametrize("change", [stop_training, start_training])
def test_the_next_change_by_anybody_ends_the_notice(db, change):
    start_training(by=command_line("ada"), origin="api")
    stop_training(by=command_line("ada"), origin="page")
    reverse_stop(**DAEMON)
    stop_training(by=command_line("bob"), origin="page")
    if change is start_training:
        change(by=command_line("bob"), origin="page")
    assert read_loop(now=START).reversal is None


def test_a_daemon_and_an_operator_who_start_at_the_same_moment_start_once(race, db):
    start_training(by=command_line("ada"), origin="api")
    stop_training(by=command_line("ada"), origin="page")
    race(lambda: reverse_stop(**DAEMON), lambda: start_training(by=command_line("bob"), origin="page"))
    assert AuditEntry.objects.count() == 3
    row = read_coordinator()
    assert (find_reversal(row) is not None) == row.enabled_changed_by.startswith("training_daemon")


def test_a_name_as_long_as_names_may_be_stops_no_stop(db):
    assert start_training(by=command_line("x" * 150), origin="y" * 40).enabled


# A clock that jumps.

HOUR, DAY = 3600, 86_400


def test_a_clock_put_forward_a_day_lets_another_lead_and_refuses_the_first(db):
    first = take_lease(holder="one", now=START)
    second = take_lease(holder="two", now=later(seconds=DAY))
    assert second == first + 1
    assert not record_tick(fence=first, now=later(seconds=DAY), launched=1)
    assert record_tick(fence=second, now=later(seconds=DAY), launched=0)


def test_a_clock_put_back_an_hour_leaves_no_dead_holder_in_the_lead(db):
    first = take_lease(holder="one", now=later(seconds=HOUR))
    assert take_lease(holder="two", now=START) == first + 1


def test_a_holder_that_lives_through_a_clock_put_back_keeps_the_lead(db):
    fence = take_lease(holder="one", now=later(seconds=HOUR))
    assert record_tick(fence=fence, now=START, launched=0)
    assert read_coordinator().lease_until == START + LEASE
    assert take_lease(holder="two", now=later(seconds=1)) is None


def test_a_lease_within_the_allowed_clock_difference_is_fresh(db):
    take_lease(holder="one", now=START + LEASE)
    assert take_lease(holder="two", now=START) is None


@pytest.mark.parametrize("put_by_s", [DAY, -HOUR])
def test_a_loop_without_ticks_is_stalled_even_after_a_clock_change(db, put_by_s):
    start_training(by=command_line("ada"), origin="api")
    record_tick(fence=take_lease(holder="one", now=START), now=START, launched=0)
    loop = read_loop(now=later(seconds=put_by_s))
    assert (loop.state, loop.holder) == ("stalled", "")
    said = "there has been no tick for 86400 s" if put_by_s > 0 else "the last tick is in the future"
    assert said in loop.reason


@pytest.mark.parametrize(("put_back", "rests"), [(True, False), (False, True)])
def test_timestamps_left_in_the_future_by_a_clock_change_block_no_source_or_host(
    transactional_db, host, silent, put_back, rests
):
    now = timezone.now()
    tomorrow, soon = now + timedelta(days=1), now + timedelta(minutes=4)
    long, short = (make_source(host, not_before=at) for at in (tomorrow, soon))
    Host.objects.filter(pk=long.host_id).update(last_served_at=tomorrow)
    read_coordinator()
    Coordinator.objects.update(last_tick_at=tomorrow if put_back else now)
    loop_until(ticks := [], count=1)
    long.refresh_from_db()
    short.refresh_from_db()
    assert (long.not_before is not None) == rests
    assert short.not_before == soon
    assert (Host.objects.get(pk=long.host_id).last_served_at == tomorrow) == rests
    assert len(ticks) == 1


def test_a_stalled_loop_says_why_its_last_tick_broke(transactional_db, silent):
    def break_down(now) -> int:
        raise RuntimeError("no such column")

    start_training(by=command_line("ada"), origin="api")
    record_tick(fence=take_lease(holder="one", now=START), now=START, launched=0)
    Coordinator.objects.update(lease_until=None)
    with pytest.raises(RuntimeError):
        run_loop(holder="one", hold_s=20, tick=break_down, should_stop=lambda: False)
    loop = read_loop(now=later(seconds=60))
    assert loop.state == "stalled"
    assert loop.reason.endswith("The last tick broke: RuntimeError: no such column")


def loop_until(ticks: list, *, count: int, holder: str = "one", hold_s: float | None = 20.0) -> bool:
    return run_loop(
        holder=holder,
        hold_s=hold_s,
        tick=lambda now: ticks.append(now) or 0,
        should_stop=lambda: len(ticks) >= count,
    )


def test_the_loop_ticks_each_interval_until_it_should_stop(transactional_db, silent, settle):
    settle(loop_interval_s=0.05)
    ticks: list = []
    assert loop_until(ticks, count=4)
    assert len(ticks) == 4
    assert read_coordinator().lease_until is None


def test_the_loop_gives_its_lease_back_when_its_time_is_up(transactional_db, silent, settle):
    settle(loop_interval_s=0.05)
    ticks: list = []
    assert loop_until(ticks, count=10**6, hold_s=0.3)
    assert ticks
    assert take_lease(holder="two", now=START) is not None


def test_the_loop_of_a_second_holder_does_not_tick(transactional_db, silent, settle):
    from django.utils import timezone

    take_lease(holder="one", now=timezone.now())
    ticks: list = []
    assert not loop_until(ticks, count=1, holder="two")
    assert ticks == []


def test_the_loop_ends_when_another_has_taken_over(transactional_db, silent, settle):
    settle(loop_interval_s=0.05)

    def lose(now) -> int:
        Coordinator.objects.update(fence=99, holder="two")
        return 0

    assert run_loop(holder="one", hold_s=20, tick=lose, should_stop=lambda: False)
    assert read_coordinator().holder == "two"


def test_the_loop_gives_its_lease_back_when_a_tick_breaks(transactional_db, silent, settle):
    def break_down(now) -> int:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        run_loop(holder="one", hold_s=20, tick=break_down, should_stop=lambda: False)
    assert read_coordinator().lease_until is None


def test_an_announcement_wakes_the_loop_before_its_interval(transactional_db, silent, settle):
    settle(loop_interval_s=7.0)
    ticks: list = []
    ended = threading.Event()

    def announce() -> None:
        # Again and again until the loop has ended: it may not listen yet, and it waits after its last tick too.
        while not ended.wait(0.1):
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_notify('lealife', 'sources')")
        connection.close()

    thread = threading.Thread(target=announce)
    thread.start()
    began = time.monotonic()
    loop_until(ticks, count=2)
    took = time.monotonic() - began
    ended.set()
    thread.join()
    assert took < 5
