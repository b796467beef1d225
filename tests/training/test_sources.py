"""Sources and campaigns: what is refused, what is queued, and what can be taken back."""

from __future__ import annotations

import json

import pytest
from django.db import IntegrityError, transaction

from lealife.lib.errors import Conflict, InvalidInput, NotFound
from tests.factories import START, begin_claimed, finish, later, make_host, make_source
from training.campaigns import SIZE_MAX, cancel_campaign, create_campaign, read_progress
from training.claims import claim_next_source
from training.models import AuditEntry, Campaign, Host, TrainingSource
from training.sources import cancel_source, disable_source, enable_source, queue_source, requeue_source

WHO = {"by": "ada", "origin": "page"}


def queue(host: Host | str | None, **changes) -> TrainingSource:
    values = {"title": "", "prompt": "Which page?", "check_spec": None, "pages_target": None}
    return queue_source(host=host, queued_from="api", by="ada", **{**values, **changes})


def campaign(host: Host, **changes) -> Campaign:
    values = {"title": "Many", "prompt": "Which page?", "check_spec": None, "pages_target": None, "size": 3}
    return create_campaign(host=host, queued_from="api", by="ada", **{**values, **changes})


def test_a_queued_source_waits_and_is_logged(host):
    source = queue(host, title=" Queues ", prompt=" Which page? ", pages_target=2, priority=7)
    source.refresh_from_db()
    assert (source.status, source.kind, source.title, source.prompt) == ("pending", "queue", "Queues", "Which page?")
    assert (source.priority, source.pages_target, source.queued_from, source.queued_by) == (7, 2, "api", "ada")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.subject) == ("ada", "queue source", f"source {source.pk}")


def test_a_source_without_a_title_is_called_by_its_prompt(host):
    assert queue(host, prompt="Which page? " * 20).title == ("Which page? " * 20)[:80]


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("prompt", {"prompt": ""}),
        ("prompt", {"prompt": " \n\t "}),
        ("prompt", {"prompt": "\x00\x00"}),
        ("prompt", {"prompt": "x" * 1_000_000}),
        ("title", {"title": "x" * 201}),
        ("pages_target", {"pages_target": 0}),
        ("pages_target", {"pages_target": -1}),
        ("pages_target", {"pages_target": 51}),
        ("priority", {"priority": 101}),
        ("priority", {"priority": -101}),
        ("check", {"check_spec": {"nonsense": 1}}),
        ("check", {"check_spec": {"pattern": "("}}),
        ("check", {"check_spec": {"expected_urls": [1]}}),
        ("check", {"check_spec": "text"}),
        ("check", {"check_spec": {"min_pages": "two"}}),
        ("check", {"check_spec": {"expected_text": "a\x00b"}}),
        ("check", {"check_spec": {"expected_text": "a\ud800b"}}),
        ("host", {"host": "nowhere.example"}),
        ("host", {"host": "no\x00where"}),
        ("host", {"host": "http://["}),
    ],
)
def test_an_unusable_definition_is_refused_with_its_field(host, field, changes):
    with pytest.raises((InvalidInput, NotFound)) as refusal:
        queue(**{"host": host, **changes})
    assert refusal.value.details["field"] == field
    assert not TrainingSource.objects.exists()


@pytest.mark.parametrize("hostile", ["a\x00b", "a\ud800b"])
def test_text_that_postgres_cannot_hold_is_cleaned(host, hostile):
    source = queue(host, title=hostile, prompt=hostile)
    source.refresh_from_db()
    assert "\x00" not in source.title + source.prompt
    assert source.prompt.encode()


def test_a_pattern_may_speak_of_a_nul_character(host):
    assert queue(host, check_spec={"pattern": r"[^\u0000]+"}).check_spec == {"pattern": r"[^\u0000]+"}


def test_a_prompt_that_names_a_known_address_finds_its_host(host):
    make_host()
    known = make_host(base_url="http://known.example/")
    assert queue(None, prompt="What does http://known.example/a say, or http://[ ?").host == known


def test_a_prompt_without_a_host_goes_to_the_only_one(host):
    assert queue(None).host == host


def test_a_prompt_without_a_host_is_refused_when_there_are_two(host):
    make_host()
    with pytest.raises(InvalidInput, match="Name a host"):
        queue(None)


def test_a_disabled_host_is_refused(host):
    Host.objects.update(enabled=False)
    with pytest.raises(InvalidInput, match="is disabled"):
        queue(host.name)


@pytest.mark.parametrize(
    ("verb", "start", "end"),
    [
        (disable_source, "pending", "disabled"),
        (disable_source, "failed", "disabled"),
        (enable_source, "disabled", "pending"),
        (requeue_source, "done", "pending"),
        (requeue_source, "failed", "pending"),
        (requeue_source, "cancelled", "pending"),
        (cancel_source, "pending", "cancelled"),
        (cancel_source, "disabled", "cancelled"),
    ],
)
def test_a_verb_moves_a_source_and_is_logged(host, verb, start, end):
    source = make_source(host, status=start)
    verb(source_id=source.pk, **WHO)
    source.refresh_from_db()
    assert source.status == end
    assert AuditEntry.objects.get().actor == "ada"


@pytest.mark.parametrize(
    ("verb", "start"),
    [
        *[(disable_source, status) for status in ("claimed", "done", "disabled", "cancelled")],
        *[(enable_source, status) for status in ("pending", "claimed", "done", "failed", "cancelled")],
        *[(requeue_source, status) for status in ("pending", "claimed", "disabled")],
        *[(cancel_source, status) for status in ("claimed", "done", "failed", "cancelled")],
    ],
)
def test_a_verb_refuses_another_state_in_a_sentence(host, verb, start):
    source = make_source(host, status=start)
    with pytest.raises(Conflict, match=f"Source {source.pk} is {start}"):
        verb(source_id=source.pk, **WHO)
    source.refresh_from_db()
    assert source.status == start
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("verb", [disable_source, enable_source, requeue_source, cancel_source])
def test_a_verb_on_a_missing_source_is_refused(db, verb):
    with pytest.raises(NotFound):
        verb(source_id=10**9, **WHO)


def test_enabling_gives_a_fresh_retry_budget(host):
    source = make_source(host, status="disabled", failed_attempts=3)
    enable_source(source_id=source.pk, **WHO)
    source.refresh_from_db()
    assert source.failed_attempts == 0


def test_a_disabled_source_is_not_claimed_until_it_is_enabled(host):
    source = make_source(host)
    disable_source(source_id=source.pk, **WHO)
    assert claim_next_source(now=START) is None
    enable_source(source_id=source.pk, **WHO)
    assert claim_next_source(now=START).source_id == source.pk


def test_a_claim_and_a_disable_that_race_do_not_both_win(race, settle):
    for _ in range(4):
        source = make_source(make_host())
        claim, refused = race(
            lambda: claim_next_source(now=START), lambda pk=source.pk: disable_source(source_id=pk, **WHO)
        )
        source.refresh_from_db()
        assert (claim is None) == (refused is None)
        assert source.status == ("disabled" if claim is None else "claimed")
        if claim is not None:
            finish(begin_claimed(claim))


def test_postgres_refuses_a_source_without_a_prompt(host):
    with pytest.raises(IntegrityError, match="source_has_a_prompt"), transaction.atomic():
        make_source(host, prompt="")


def test_postgres_refuses_a_priority_out_of_bounds(host):
    with pytest.raises(IntegrityError, match="source_priority_in_bounds"), transaction.atomic():
        make_source(host, priority=101)


def test_changing_the_priority_changes_the_rank(host):
    source = make_source(host)
    before = source.queue_rank
    source.priority = 4
    source.save(update_fields=["priority"])
    source.refresh_from_db()
    assert source.queue_rank < before


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
    made = campaign(host, size=SIZE_MAX)
    markers = made.sources.values_list("scenario_marker", flat=True)
    assert len(set(markers)) == SIZE_MAX
    assert read_progress(made.pk).queued == SIZE_MAX


def test_two_campaigns_of_one_definition_share_no_marker(host):
    campaign(host), campaign(host)
    assert TrainingSource.objects.values("scenario_marker").distinct().count() == 6


def test_postgres_refuses_a_marker_twice(host):
    make_source(host, scenario_marker="one")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_source(host, scenario_marker="one")


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


@pytest.mark.parametrize("verb", [lambda pk: cancel_campaign(campaign_id=pk, **WHO), read_progress])
def test_a_missing_campaign_is_not_found(db, verb):
    with pytest.raises(NotFound):
        verb(10**9)


def test_a_progress_is_plain_json_once_its_times_are_text(host):
    from dataclasses import asdict

    assert json.dumps(asdict(read_progress(campaign(host).pk)), default=str)
