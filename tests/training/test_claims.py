"""Claims: one transaction, exact slots, one training run per host."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from lealife.core.actors import command_line
from tests.factories import (
    START,
    begin_claimed,
    finish,
    later,
    make_curriculum_source,
    make_host,
    make_source,
    preview_next,
)
from training.campaigns import create_campaign
from training.claims import LEASE, CanarySplit, claim_next_source
from training.coordinator import start_training
from training.models import Host, Run, TrainingCycle, TrainingSource
from training.runs import claim_queued_run, queue_run
from training.selection_state import read_locked_campaign


def make_campaign(host: Host, *, size: int = 2):
    return create_campaign(
        title="Three of one",
        prompt="Which page explains queues?",
        host=host,
        check_spec=None,
        pages_target=None,
        size=size,
        queued_from="api",
        by=command_line("ada"),
    )


def test_a_claim_opens_a_cycle_and_a_run_with_a_lease(host):
    source = make_source(host, pages_target=4, queued_by="ada")
    claim = claim_next_source(now=START)
    run, cycle = Run.objects.get(pk=claim.run_id), TrainingCycle.objects.get(pk=claim.pk)
    assert (run.status, run.lane, run.fence, run.attempts) == ("claimed", "training", 1, 1)
    assert (run.lease_until, run.pages_target, run.requested_by) == (START + LEASE, 4, "ada")
    assert (cycle.source_id, cycle.run_id, cycle.status) == (source.pk, run.pk, "open")
    source.refresh_from_db()
    assert (source.status, source.claimed_at) == ("claimed", START)


def test_a_claim_without_anything_waiting_is_none(host):
    assert claim_next_source(now=START) is None


def test_a_claim_marks_its_host_as_served(host):
    make_source(host)
    claim_next_source(now=START)
    host.refresh_from_db()
    assert host.last_served_at == START


def test_a_source_that_rests_is_not_claimed_before_its_time(host):
    make_source(host, not_before=later(minutes=5))
    assert claim_next_source(now=later(minutes=4)) is None
    assert claim_next_source(now=later(minutes=5)) is not None


def test_a_source_on_an_archived_host_is_not_claimed(host):
    make_source(host)
    Host.objects.filter(pk=host.pk).update(enabled=False)
    assert claim_next_source(now=START) is None


@pytest.mark.parametrize("status", ["claimed", "done", "failed", "disabled", "cancelled"])
def test_only_pending_sources_are_claimed(host, status):
    make_source(host, status=status)
    assert claim_next_source(now=START) is None


def test_the_second_source_of_a_host_waits_for_the_first_run(host):
    make_source(host), make_source(host)
    run = begin_claimed()
    assert claim_next_source(now=START) is None
    finish(run)
    assert claim_next_source(now=START) is not None


def test_an_operator_prompt_is_claimed_before_the_curriculum(host):
    make_curriculum_source(make_host())
    queued = make_source(host)
    claim = claim_next_source(now=START)
    assert claim.source_id == queued.pk


def test_a_waiting_source_overtakes_a_higher_priority_after_a_quarter_of_an_hour_for_each_level(host):
    old = make_source(host, queued_at=START)
    make_source(host, priority=2, queued_at=later(minutes=31))
    assert claim_next_source(now=later(minutes=31)).source_id == old.pk


def test_a_higher_priority_goes_first_until_the_other_has_aged(host):
    make_source(host, queued_at=START)
    urgent = make_source(host, priority=2, queued_at=later(minutes=29))
    assert claim_next_source(now=later(minutes=29)).source_id == urgent.pk


def test_every_tenth_claim_goes_to_the_host_served_longest_ago(settle, db):
    settle(recent_host_window=0)
    urgent, patient = make_host(last_served_at=START), make_host(last_served_at=later(hours=-1))
    for _ in range(20):
        make_source(urgent, priority=100)
        make_source(patient, priority=-100)
    served = []
    for minute in range(20):
        run = begin_claimed(now=later(minutes=minute))
        finish(run, now=later(minutes=minute))
        served.append(run.host)
    assert [number for number, host in enumerate(served, start=1) if host == patient] == [10, 20]


def test_postgres_refuses_a_second_running_training_run_of_a_host(host):
    values = {"host": host, "status": "running", "prompt": "p", "pages_target": 1, "max_calls": 1}
    Run.objects.create(lane="training", **values)
    with pytest.raises(IntegrityError, match="one_running_training_run_per_host"), transaction.atomic():
        Run.objects.create(lane="canary", **values)


def test_a_standard_run_may_share_a_host_with_a_training_run(host):
    values = {"host": host, "status": "running", "prompt": "p", "pages_target": 1, "max_calls": 1}
    Run.objects.create(lane="training", **values)
    Run.objects.create(lane="standard", **values)


def test_postgres_refuses_a_second_open_cycle_of_a_source(host):
    source = make_source(host)
    claim_next_source(now=START)
    run = Run.objects.create(host=host, lane="training", status="failed", prompt="p", pages_target=1, max_calls=1)
    with pytest.raises(IntegrityError, match="one_open_cycle_per_source"), transaction.atomic():
        TrainingCycle.objects.create(source=source, run=run)


def test_a_source_that_an_operator_is_changing_is_passed_over(race, settle):
    first, second = (make_source(make_host(), queued_at=later(seconds=n)) for n in range(2))
    with transaction.atomic():
        TrainingSource.objects.select_for_update().get(pk=first.pk)
        (claim,) = race(lambda: claim_next_source(now=later(minutes=1)))
    assert claim.source_id == second.pk


def test_workers_that_race_claim_every_source_once(race, settle):
    settle(training_max_active_runs=50, global_max_concurrent_runs=60, reserved_control_slots=1)
    sources = {make_source(make_host()).pk for _ in range(12)}
    claims = race(*[lambda: [claim_next_source(now=START) for _ in range(4)] for _ in range(5)])
    claimed = [claim.source_id for batch in claims for claim in batch if claim]
    assert sorted(claimed) == sorted(sources)


def test_a_canary_without_a_share_serves_nothing(host):
    make_source(host)
    claim = claim_next_source(now=START, canary=CanarySplit(canary_id=3, share=0.0))
    run = Run.objects.get(pk=claim.run_id)
    assert (run.lane, run.canary_id) == ("training", 3)


def test_a_canary_with_all_of_the_share_serves_every_source(host):
    make_source(host)
    claim = claim_next_source(now=START, canary=CanarySplit(canary_id=3, share=1.0))
    run = Run.objects.get(pk=claim.run_id)
    assert (run.lane, run.canary_id) == ("canary", 3)


def test_the_canary_split_is_its_share_of_the_sources_and_repeats_itself():
    split = CanarySplit(canary_id=1, share=0.2)
    covered = [split.covers(number) for number in range(5_000)]
    assert covered == [split.covers(number) for number in range(5_000)]
    assert 0.18 < sum(covered) / 5_000 < 0.22


def test_the_canary_lane_of_a_claim_is_what_the_split_says(settle, db):
    settle(training_max_active_runs=50, global_max_concurrent_runs=60)
    split = CanarySplit(canary_id=5, share=0.5)
    for _ in range(12):
        make_source(make_host())
    lanes_by_source = {}
    while (claim := claim_next_source(now=START, canary=split)) is not None:
        lanes_by_source[claim.source_id] = Run.objects.get(pk=claim.run_id).lane
    assert len(lanes_by_source) == 12
    assert lanes_by_source == {pk: "canary" if split.covers(pk) else "training" for pk in lanes_by_source}


def test_the_campaign_lock_holds_until_the_campaign_has_drained(host, settle):
    settle(campaign_lock=True)
    campaign, other = make_campaign(host), make_source(make_host(), queued_at=later(days=1))
    run = begin_claimed()
    assert read_locked_campaign() == campaign
    assert claim_next_source(now=START) is None
    finish(run)
    finish(begin_claimed())
    assert read_locked_campaign() is None
    assert claim_next_source(now=START).source_id == other.pk


def test_the_campaign_lock_holds_although_the_campaign_began_with_a_failure(host, settle):
    settle(campaign_lock=True, retry_budget=1)
    campaign = make_campaign(host)
    make_source(make_host(), priority=50)
    Host.objects.exclude(pk=host.pk).update(enabled=False)
    finish(begin_claimed(), success=False)
    Host.objects.update(enabled=True)
    assert campaign.sources.filter(status="disabled").count() == 1
    assert read_locked_campaign() == campaign


def test_a_campaign_on_an_archived_host_does_not_block_other_sources(host, settle):
    settle(campaign_lock=True)
    make_campaign(host)
    finish(begin_claimed())
    Host.objects.filter(pk=host.pk).update(enabled=False)
    other = make_source(make_host())
    assert claim_next_source(now=START).source_id == other.pk


def test_the_campaign_lock_waits_for_a_source_that_rests_after_a_failure(host, settle):
    settle(campaign_lock=True)
    make_campaign(host, size=1)
    make_source(make_host(), queued_at=later(days=1))
    finish(begin_claimed(), success=False)
    assert claim_next_source(now=later(seconds=5)) is None
    assert TrainingSource.objects.get(pk=claim_next_source(now=later(seconds=11)).source_id).campaign is not None


def test_a_queued_run_gets_a_slot_oldest_first(host):
    first, second = (
        queue_run(lane="standard", prompt=f"Which {n}?", host=host, check_spec=None, pages_target=None, by="ada")
        for n in range(2)
    )
    assert [claim_queued_run(now=START), claim_queued_run(now=START)] == [first.pk, second.pk]
    first.refresh_from_db()
    assert (first.status, first.fence, first.attempts, first.lease_until) == ("claimed", 1, 1, START + LEASE)


def test_a_preview_takes_nothing(host):
    source = make_source(host)
    assert preview_next(now=START).source == source
    assert not Run.objects.exists()
    assert TrainingSource.objects.get().status == "pending"


def test_a_preview_of_nothing_says_so(host):
    preview = preview_next(now=START)
    assert (preview.source, preview.selection_mode, preview.sentence) == (None, "none", "No eligible next source.")


def test_a_claim_reads_no_more_statements_with_a_thousand_sources_than_with_one(settle, host):
    settle(training_max_active_runs=5)
    make_source(host)
    with_one = _count_statements()
    TrainingSource.objects.bulk_create(
        TrainingSource(host=make_host() if n % 100 == 0 else host, title="t", prompt="p", queue_rank=n)
        for n in range(1_000)
    )
    assert _count_statements() <= with_one


def _count_statements() -> int:
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        assert claim_next_source(now=START + timedelta(days=1)) is not None
    return len(captured)


def test_a_canarys_runs_count_against_the_most_training_cycles(settle):
    settle(training_max_active_runs=2, global_max_concurrent_runs=9, reserved_control_slots=1)
    for _ in range(5):
        make_source(make_host())
    everything = CanarySplit(canary_id=1, share=1.0)
    claims = [claim_next_source(now=START, canary=everything) for _ in range(5)]
    assert [claim is not None for claim in claims] == [True, True, False, False, False]
    assert set(Run.objects.values_list("lane", flat=True)) == {"canary"}


def test_nothing_is_claimed_for_a_loop_that_was_stopped(host):
    make_source(host)
    assert claim_next_source(now=START, while_enabled=True) is None
    start_training(by=command_line("ada"), origin="tests")
    assert claim_next_source(now=START, while_enabled=True) is not None
