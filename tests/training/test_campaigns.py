"""Campaigns: what is refused, where they stand, and what is taken back or tried again."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from lealife.core.actors import command_line
from lealife.core.errors import Conflict, InvalidInput, NotFound
from tests.factories import START, begin_claimed, finish, later, make_host, make_source, preview_next
from training.campaigns import SIZE_MAX, cancel_campaign, create_campaign, read_progress, requeue_failed
from training.claims import claim_next_source
from training.models import AuditEntry, Campaign, Host, TrainingSource

WHO = {"by": command_line("ada"), "origin": "page"}


def campaign(host: Host, **changes) -> Campaign:
    values = {"title": "Many", "prompt": "Which page?", "check_spec": None, "pages_target": None, "size": 3}
    return create_campaign(host=host, queued_from="api", by=command_line("ada"), **{**values, **changes})


@pytest.mark.parametrize("size", [0, -1, SIZE_MAX + 1, "many", "3", None, True, 2.5, 10**30])
def test_a_campaign_of_an_unusable_size_is_refused(host, size):
    with pytest.raises(InvalidInput, match="1–10,000 runs") as refusal:
        campaign(host, size=size)
    assert refusal.value.details["field"] == "size"
    assert not Campaign.objects.exists()


def test_a_campaign_with_a_megabyte_of_prompt_is_refused(host):
    with pytest.raises(InvalidInput, match="1,000,000 characters"):
        campaign(host, prompt="x" * 1_000_000)
    assert not Campaign.objects.exists()


def test_postgres_refuses_a_campaign_of_no_runs(host):
    with pytest.raises(IntegrityError, match="campaign_size_1_to_10000"), transaction.atomic():
        Campaign.objects.create(title="t", prompt="p", host=host, size=0, queued_from="api", created_by="ada")


def test_a_campaign_of_the_greatest_size_queues_as_many_sources_with_markers_of_their_own(host):
    statements: list[str] = []

    def note(execute, sql, parameters, many, context):
        statements.append(sql)
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(note):
        made = campaign(host, size=SIZE_MAX)
    markers = set(made.sources.values_list("scenario_marker", flat=True))
    assert len(markers) == SIZE_MAX
    assert {f"campaign-{made.pk}-00001", f"campaign-{made.pk}-10000"} < markers
    assert len([sql for sql in statements if 'INSERT INTO "training_trainingsource"' in sql]) == 1
    assert read_progress(made.pk).queued == SIZE_MAX


def test_each_source_of_a_campaign_is_the_task_as_it_was_queued(host):
    made = campaign(host, title="It's 100 %", check_spec={"expected_text": "a%sb'c"}, pages_target=4)
    for source in made.sources.all():
        assert (source.kind, source.status, source.host, source.priority) == ("queue", "pending", host, 0)
        assert (source.title, source.prompt, source.pages_target) == ("It's 100 %", "Which page?", 4)
        assert (source.check_spec, source.queued_from, source.queued_by) == (made.check_spec, "api", "ada")
        assert (source.failed_attempts, source.not_before, source.claimed_at) == (0, None, None)


def test_two_campaigns_of_one_definition_share_no_marker(host):
    campaign(host), campaign(host)
    assert TrainingSource.objects.values("scenario_marker").distinct().count() == 6


def test_progress_follows_the_runs(host):
    made = campaign(host)
    assert (read_progress(made.pk).percent, read_progress(made.pk).started_at) == (0, None)
    run = begin_claimed()
    assert (read_progress(made.pk).queued, read_progress(made.pk).running) == (2, 1)
    finish(run)
    progress = read_progress(made.pk)
    assert (progress.succeeded, progress.percent, progress.started_at) == (1, 33, START)
    assert progress.finished_at is None


def test_progress_ends_when_the_campaign_has_drained(host, settle):
    settle(retry_budget=1)
    made = campaign(host, size=2)
    finish(begin_claimed())
    finish(begin_claimed(), success=False, now=later(minutes=1))
    progress = read_progress(made.pk)
    assert (progress.succeeded, progress.disabled, progress.percent) == (1, 1, 100)
    assert progress.finished_at == later(minutes=1)


def test_progress_counts_every_source_once(host):
    made = campaign(host, size=4)
    finish(begin_claimed())
    begin_claimed()
    cancel_campaign(campaign_id=made.pk, **WHO)
    progress = read_progress(made.pk)
    parts = (progress.queued, progress.running, progress.succeeded, progress.failed, progress.cancelled)
    assert parts == (0, 1, 1, 0, 2)
    assert sum(parts) + progress.disabled == made.size


def test_cancelling_takes_back_only_what_has_not_started(host):
    made = campaign(host, size=3)
    run = begin_claimed()
    assert cancel_campaign(campaign_id=made.pk, **WHO) == 2
    finish(run)
    assert sorted(made.sources.values_list("status", flat=True)) == ["cancelled", "cancelled", "done"]


def test_cancelling_twice_takes_nothing_back(host):
    made = campaign(host)
    cancel_campaign(campaign_id=made.pk, **WHO)
    assert cancel_campaign(campaign_id=made.pk, **WHO) == 0


@pytest.mark.parametrize(
    "action",
    [
        lambda pk: cancel_campaign(campaign_id=pk, **WHO),
        lambda pk: requeue_failed(campaign_id=pk, **WHO),
        read_progress,
    ],
)
def test_a_missing_campaign_is_not_found(db, action):
    with pytest.raises(NotFound):
        action(10**9)


def test_a_progress_is_plain_json_once_its_times_are_text(host):
    assert json.dumps(asdict(read_progress(campaign(host).pk)), default=str)


def spend(made: Campaign, *, status: str = "disabled") -> None:
    """Leaves every pending source of a campaign as one whose retry budget is spent."""
    made.sources.filter(status="pending").update(
        status=status, failed_attempts=3, finished_at=START, not_before=later(hours=1), status_reason="spent"
    )


@pytest.mark.parametrize("status", ["failed", "disabled"])
def test_what_failed_is_queued_again_with_a_fresh_retry_budget(host, status):
    made = campaign(host, size=3)
    finish(begin_claimed())
    spend(made, status=status)
    assert requeue_failed(campaign_id=made.pk, **WHO) == 2
    waiting = made.sources.filter(status="pending")
    assert set(waiting.values_list("failed_attempts", "status_reason", "not_before", "finished_at")) == {
        (0, "", None, None)
    }
    entry = AuditEntry.objects.get(action="requeue failed")
    assert (entry.actor, entry.subject, entry.details) == ("ada", f"campaign {made.pk}", {"requeued": 2})
    assert claim_next_source(now=later(minutes=1)) is not None


def test_ten_thousand_failed_sources_are_queued_again_in_one_statement(host):
    made = campaign(host, size=SIZE_MAX)
    spend(made)
    with CaptureQueriesContext(connection) as captured:
        assert requeue_failed(campaign_id=made.pk, **WHO) == SIZE_MAX
    assert len([query for query in captured if query["sql"].startswith('UPDATE "training_trainingsource"')]) == 1


def test_a_campaign_in_which_nothing_failed_has_nothing_to_queue_again(host):
    made = campaign(host, size=2)
    finish(begin_claimed())
    with pytest.raises(Conflict, match="no source has failed"):
        requeue_failed(campaign_id=made.pk, **WHO)
    assert read_progress(made.pk).succeeded == 1
    assert not AuditEntry.objects.filter(action="requeue failed").exists()


def test_a_cancelled_campaign_is_not_queued_again(host):
    made = campaign(host, size=2)
    spend(made, status="failed")
    cancel_campaign(campaign_id=made.pk, **WHO)
    assert not read_progress(made.pk).may_requeue
    with pytest.raises(Conflict, match="is cancelled"):
        requeue_failed(campaign_id=made.pk, **WHO)
    assert read_progress(made.pk).failed == 2


def test_a_cancel_and_a_requeue_that_race_leave_nothing_waiting(race, settle):
    for _ in range(4):
        made = campaign(make_host(), size=5)
        spend(made)
        race(
            lambda pk=made.pk: cancel_campaign(campaign_id=pk, **WHO),
            lambda pk=made.pk: requeue_failed(campaign_id=pk, **WHO),
        )
        assert read_progress(made.pk).cancelled == 5


def test_a_campaign_that_is_queued_again_is_unfinished_until_it_has_drained_again(host, settle):
    settle(retry_budget=1)
    made = campaign(host, size=2)
    finish(begin_claimed())
    finish(begin_claimed(), success=False, now=later(minutes=1))
    drained = read_progress(made.pk)
    assert (drained.percent, drained.finished_at, drained.may_requeue) == (100, later(minutes=1), True)
    requeue_failed(campaign_id=made.pk, **WHO)
    again = read_progress(made.pk)
    assert (again.queued, again.disabled, again.percent, again.finished_at) == (1, 0, 50, None)
    assert again.started_at == drained.started_at
    finish(begin_claimed(now=later(minutes=9)), now=later(minutes=10))
    done = read_progress(made.pk)
    assert (done.succeeded, done.percent, done.finished_at) == (2, 100, later(minutes=10))
    assert (done.started_at, done.may_requeue) == (drained.started_at, False)


def test_cancelling_again_keeps_the_time_of_the_first(host):
    made = campaign(host)
    cancel_campaign(campaign_id=made.pk, **WHO)
    first = read_progress(made.pk).cancelled_at
    cancel_campaign(campaign_id=made.pk, **WHO)
    assert read_progress(made.pk).cancelled_at == first


def test_disabling_a_host_mid_campaign_keeps_waiting_sources_and_running_runs(host):
    made = campaign(host, size=3)
    run = begin_claimed()
    Host.objects.update(enabled=False)
    finish(run)
    assert claim_next_source(now=later(minutes=1)) is None
    assert preview_next(now=later(minutes=1)).source is None
    progress = read_progress(made.pk)
    assert (progress.queued, progress.succeeded, progress.host_enabled, progress.finished_at) == (2, 1, False, None)


def test_a_host_enabled_again_goes_on_where_its_campaign_stopped(host):
    made = campaign(host, size=2)
    Host.objects.update(enabled=False)
    assert claim_next_source(now=START) is None
    Host.objects.update(enabled=True)
    for _ in range(2):
        finish(begin_claimed())
    assert read_progress(made.pk).succeeded == 2


def test_a_campaign_on_an_archived_host_can_be_cancelled(host):
    made = campaign(host, size=2)
    Host.objects.update(enabled=False)
    assert cancel_campaign(campaign_id=made.pk, **WHO) == 2
    assert (read_progress(made.pk).percent, read_progress(made.pk).cancelled) == (0, 2)


def test_a_locked_campaign_whose_host_is_archived_lets_others_run(host, settle):
    settle(campaign_lock=True)
    campaign(host, size=2)
    finish(begin_claimed())
    other = make_source(make_host())
    Host.objects.filter(pk=host.pk).update(enabled=False)
    assert claim_next_source(now=later(minutes=1)).source_id == other.pk


def test_the_lock_is_open_until_a_campaign_has_started(host, settle):
    settle(campaign_lock=True)
    source = make_source(host, queued_at=later(days=-10_000))
    campaign(make_host(), size=2)
    assert claim_next_source(now=later(minutes=1)).source_id == source.pk


def test_a_cancelled_campaign_holds_the_lock_until_its_run_has_ended(host, settle):
    settle(campaign_lock=True)
    first = campaign(host, size=2)
    run = begin_claimed()
    cancel_campaign(campaign_id=first.pk, **WHO)
    other = campaign(make_host(), size=1)
    assert claim_next_source(now=later(minutes=1)) is None
    finish(run)
    assert TrainingSource.objects.get(pk=claim_next_source(now=later(minutes=2)).source_id).campaign_id == other.pk


def test_a_failed_source_of_an_older_campaign_does_not_take_the_lock(host, settle):
    settle(campaign_lock=True)
    older = campaign(make_host(), size=1)
    finish(begin_claimed())
    TrainingSource.objects.filter(campaign=older).update(status="pending")
    newer = campaign(host, size=2)
    TrainingSource.objects.filter(campaign=older).update(status="done")
    begin_claimed()
    TrainingSource.objects.filter(campaign=older).update(status="pending")
    assert claim_next_source(now=later(minutes=1)) is None
    assert TrainingSource.objects.filter(campaign=newer, status="claimed").count() == 1


def test_a_source_that_fails_while_its_campaign_is_cancelled_is_not_queued_again(race, host):
    for _ in range(5):
        queued = campaign(host, size=2)
        run = begin_claimed()
        race(
            lambda run=run: finish(run, success=False),
            lambda queued=queued: cancel_campaign(campaign_id=queued.pk, by=command_line("ada"), origin="api"),
        )
        left = TrainingSource.objects.filter(campaign=queued).values_list("status", flat=True)
        assert set(left) <= {"failed", "cancelled"}
