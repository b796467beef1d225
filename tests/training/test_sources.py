"""Sources: what is refused, what is queued, and what can be taken back."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from lealife.core.actors import command_line
from lealife.core.errors import Conflict, InvalidInput, NotFound
from tests.factories import START, begin_claimed, finish, make_host, make_source
from training.claims import claim_next_source
from training.models import AuditEntry, Host, TrainingSource
from training.sources import cancel_source, disable_source, enable_source, queue_source, requeue_source

WHO = {"by": command_line("ada"), "origin": "page"}


def queue(host: Host | str | None, **changes) -> TrainingSource:
    values = {"title": "", "prompt": "Which page?", "check_spec": None, "pages_target": None}
    return queue_source(host=host, queued_from="api", by=command_line("ada"), **{**values, **changes})


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
        ("pages_target", {"pages_target": True}),
        ("pages_target", {"pages_target": "two"}),
        ("priority", {"priority": 101}),
        ("priority", {"priority": -101}),
        ("priority", {"priority": 2.5}),
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


@pytest.mark.parametrize("address", ["(http://known.example)", "“http://known.example”,", "<http://known.example>."])
def test_punctuation_around_an_address_in_a_sentence_is_not_part_of_it(host, address):
    known = make_host(base_url="http://known.example/")
    assert queue(None, prompt=f"What does {address} say?").host == known


def test_a_prompt_about_unknown_addresses_only_is_not_asked_of_another_host(host):
    with pytest.raises(InvalidInput, match="is on no known host"):
        queue(None, prompt="What does http://unknown.example/a say?")
    assert queue(host, prompt="What does http://unknown.example/a say?").host == host


def test_a_prompt_without_a_host_goes_to_the_only_one(host):
    assert queue(None).host == host


def test_a_prompt_without_a_host_is_refused_when_there_are_two(host):
    make_host()
    with pytest.raises(InvalidInput, match="Name a host"):
        queue(None)


def test_an_archived_host_is_refused(host):
    Host.objects.update(enabled=False)
    with pytest.raises(InvalidInput, match="is archived"):
        queue(host.name)


@pytest.mark.parametrize(
    ("action", "start", "end"),
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
def test_an_action_moves_a_source_and_is_logged(host, action, start, end):
    source = make_source(host, status=start)
    action(source_id=source.pk, **WHO)
    source.refresh_from_db()
    assert source.status == end
    assert AuditEntry.objects.get().actor == "ada"


@pytest.mark.parametrize(
    ("action", "start"),
    [
        *[(disable_source, status) for status in ("claimed", "done", "disabled", "cancelled")],
        *[(enable_source, status) for status in ("pending", "claimed", "done", "failed", "cancelled")],
        *[(requeue_source, status) for status in ("pending", "claimed", "disabled")],
        *[(cancel_source, status) for status in ("claimed", "done", "failed", "cancelled")],
    ],
)
def test_an_action_refuses_another_state_in_a_sentence(host, action, start):
    source = make_source(host, status=start)
    with pytest.raises(Conflict, match=f"Source {source.pk} is {start}"):
        action(source_id=source.pk, **WHO)
    source.refresh_from_db()
    assert source.status == start
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("action", [disable_source, enable_source, requeue_source, cancel_source])
def test_an_action_on_a_missing_source_is_refused(db, action):
    with pytest.raises(NotFound):
        action(source_id=10**9, **WHO)


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


def test_postgres_refuses_a_marker_twice(host):
    make_source(host, scenario_marker="one")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_source(host, scenario_marker="one")
