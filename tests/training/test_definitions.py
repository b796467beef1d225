"""Saved task definitions: what is refused, what they queue, and how much of it waits."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from lealife.core.actors import command_line
from lealife.core.errors import Conflict, InvalidInput, NotFound
from tests.factories import begin_claimed, finish, make_host
from training.campaigns import SIZE_MAX, cancel_campaign
from training.definitions import (
    annotate_pending,
    delete_definition,
    disable_definition,
    enable_definition,
    queue_definition,
    save_definition,
)
from training.models import AuditEntry, Campaign, Host, TaskDefinition, TrainingSource

WHO = {"by": command_line("ada"), "origin": "api"}
TASK = {"title": "Prices", "prompt": "Which page names the price?"}
shipped = import_module("training.migrations.0001_initial")


def save(**changes) -> TaskDefinition:
    return save_definition(changes={**TASK, **changes}, **WHO)


def queue(row: TaskDefinition, **changes):
    return queue_definition(definition_id=row.pk, queued_from="api", by=command_line("ada"), **changes)


def test_a_saved_definition_with_a_host_is_ready_and_logged(host):
    row = save(host=host.name, pages_target=2, check_spec={"expected_text": "price"})
    row.refresh_from_db()
    assert (row.title, row.host, row.pages_target, row.enabled) == ("Prices", host, 2, True)
    assert (row.check_spec["expected_text"], row.created_by, row.updated_by) == ("price", "ada", "ada")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.subject) == ("ada", "save definition", f"definition {row.pk}")


def test_a_definition_without_a_host_waits_disabled_for_it(db):
    row = save()
    assert (row.host, row.enabled) == (None, False)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("title", {"title": " "}),
        ("title", {"title": "x" * 201}),
        ("prompt", {"prompt": ""}),
        ("prompt", {"prompt": "x" * 1_000_000}),
        ("host", {"host": "nowhere.example"}),
        ("pages_target", {"pages_target": 51}),
        ("pages_target", {"pages_target": True}),
        ("check", {"check_spec": {"pattern": "("}}),
        ("colour", {"colour": "red"}),
        ("enabled", {"enabled": True}),
    ],
)
def test_an_unusable_definition_is_refused_with_its_field(host, field, changes):
    before = TaskDefinition.objects.count()
    with pytest.raises((InvalidInput, NotFound)) as refusal:
        save(**changes)
    assert refusal.value.details["field"] == field
    assert TaskDefinition.objects.count() == before


def test_a_title_is_given_once(host):
    row, other = save(), save(title="Other")
    with pytest.raises(Conflict, match="already a task definition “Prices”"):
        save()
    with pytest.raises(Conflict) as refusal:
        save_definition(definition_id=other.pk, changes={"title": row.title}, **WHO)
    assert refusal.value.details["field"] == "title"
    other.refresh_from_db()
    assert other.title == "Other"


def test_two_who_save_one_title_at_the_same_moment_do_not_both_win(race):
    results = race(save, save)
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "TaskDefinition"]


def test_a_change_writes_only_what_differs_and_says_what(host):
    row = save(host=host)
    save_definition(
        definition_id=row.pk, changes={"title": "Prices", "pages_target": 4}, by=command_line("bob"), origin="admin"
    )
    row.refresh_from_db()
    assert (row.pages_target, row.created_by, row.updated_by) == (4, "ada", "bob")
    assert AuditEntry.objects.get(action="change definition").details == {"fields": ["pages_target"]}


def test_a_change_that_changes_nothing_leaves_no_trace(host):
    row = save(host=host)
    save_definition(definition_id=row.pk, changes={**TASK, "host": host.name}, by=command_line("bob"), origin="admin")
    row.refresh_from_db()
    assert row.updated_by == "ada"
    assert not AuditEntry.objects.filter(action="change definition").exists()


def test_an_enabled_definition_keeps_a_host(host):
    row = save(host=host)
    with pytest.raises(InvalidInput, match="disable it first") as refusal:
        save_definition(definition_id=row.pk, changes={"host": None}, **WHO)
    assert refusal.value.details["field"] == "host"
    disable_definition(definition_id=row.pk, **WHO)
    assert save_definition(definition_id=row.pk, changes={"host": None}, **WHO).host is None


def test_a_check_names_pages_of_the_definitions_host_only(host):
    elsewhere = {"expected_urls": ["http://elsewhere.example/prices"]}
    with pytest.raises(InvalidInput, match=f"is not on {host.name}"):
        save(host=host, check_spec=elsewhere)
    row = save(host=None, check_spec=elsewhere)
    with pytest.raises(InvalidInput, match=f"is not on {host.name}") as refusal:
        save_definition(definition_id=row.pk, changes={"host": host}, **WHO)
    assert refusal.value.details["field"] == "check"
    row.refresh_from_db()
    assert row.host is None


def test_postgres_refuses_an_enabled_definition_without_a_host(db):
    with pytest.raises(IntegrityError, match="an_enabled_definition_has_a_host"), transaction.atomic():
        TaskDefinition.objects.create(**TASK, enabled=True, created_by="ada", updated_by="ada")


def test_queued_once_it_is_one_source_that_names_its_definition(host):
    row = save(host=host, pages_target=2)
    queued = queue(row)
    source = TrainingSource.objects.get()
    assert (queued.source_id, queued.campaign_id, queued.size) == (source.pk, None, 1)
    assert (source.title, source.prompt, source.host, source.pages_target) == (row.title, row.prompt, host, 2)
    assert (source.definition, source.queued_from, source.queued_by) == (row, "api", "ada")


def test_queued_many_times_it_is_a_campaign(host):
    row = save(host=host)
    queued = queue(row, size=5)
    campaign = Campaign.objects.get()
    assert (queued.campaign_id, queued.source_id, queued.size) == (campaign.pk, None, 5)
    assert (campaign.definition, campaign.size) == (row, 5)
    assert TrainingSource.objects.filter(campaign=campaign, definition=row).count() == 5


@pytest.mark.parametrize("size", [0, -1, SIZE_MAX + 1, "many", "3", None, True, 2.5, 10**30])
def test_an_unusable_size_is_refused(host, size):
    row = save(host=host)
    with pytest.raises(InvalidInput, match="1–10,000 runs") as refusal:
        queue(row, size=size)
    assert refusal.value.details["field"] == "size"
    assert not TrainingSource.objects.exists()


def test_a_definition_without_a_host_is_not_queued(db):
    with pytest.raises(Conflict, match="“Prices” has no host yet"):
        queue(save())


def test_a_definition_whose_host_is_archived_is_not_queued(host):
    row = save(host=host)
    Host.objects.update(enabled=False)
    with pytest.raises(Conflict, match=f"host {host.name} is archived"):
        queue(row, size=3)
    assert not TrainingSource.objects.exists()


def test_a_disabled_definition_is_not_queued_until_it_is_enabled(host):
    row = save(host=host)
    disable_definition(definition_id=row.pk, **WHO)
    with pytest.raises(Conflict, match="“Prices” is disabled"):
        queue(row)
    enable_definition(definition_id=row.pk, **WHO)
    assert queue(row).source_id
    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == [
        "save definition",
        "disable definition",
        "enable definition",
        "queue source",
    ]


def test_a_definition_without_a_host_cannot_be_enabled(host):
    row = save()
    with pytest.raises(Conflict, match="has no host yet"):
        enable_definition(definition_id=row.pk, **WHO)
    save_definition(definition_id=row.pk, changes={"host": host}, **WHO)
    enable_definition(definition_id=row.pk, **WHO)
    assert queue(row).source_id


@pytest.mark.parametrize("action", [enable_definition, disable_definition])
def test_a_switch_that_is_there_already_is_refused(host, action):
    row = save(host=host)
    if action is disable_definition:
        action(definition_id=row.pk, **WHO)
    with pytest.raises(Conflict, match="already"):
        action(definition_id=row.pk, **WHO)


@pytest.mark.parametrize(
    "action",
    [
        lambda pk: queue_definition(definition_id=pk, queued_from="api", by=command_line("ada")),
        lambda pk: save_definition(definition_id=pk, changes=TASK, **WHO),
        lambda pk: enable_definition(definition_id=pk, **WHO),
        lambda pk: disable_definition(definition_id=pk, **WHO),
        lambda pk: delete_definition(definition_id=pk, **WHO),
    ],
)
def test_a_missing_definition_is_not_found(db, action):
    with pytest.raises(NotFound):
        action(10**9)


def test_a_definition_that_was_queued_is_disabled_and_not_deleted(host):
    row, unused = save(host=host), save(title="Unused")
    queue(row)
    with pytest.raises(Conflict, match="Disable it instead"):
        delete_definition(definition_id=row.pk, **WHO)
    delete_definition(definition_id=unused.pk, **WHO)
    assert TaskDefinition.objects.filter(title__in=["Prices", "Unused"]).get() == row


def test_a_change_leaves_what_is_queued_as_it_was_queued(host):
    row = save(host=host)
    queue(row)
    save_definition(definition_id=row.pk, changes={"prompt": "Another question?"}, **WHO)
    assert TrainingSource.objects.get().prompt == TASK["prompt"]


def read_pending_by_definition() -> dict[int, int]:
    return dict(annotate_pending(TaskDefinition.objects.order_by()).values_list("pk", "pending"))


def test_pending_counts_follow_each_definition(host):
    many, once, never = save(host=host), save(host=host, title="Once"), save(title="Never")
    campaign_id = queue(many, size=4).campaign_id
    queue(once)
    assert {pk: read_pending_by_definition()[pk] for pk in (many.pk, once.pk, never.pk)} == {
        many.pk: 4,
        once.pk: 1,
        never.pk: 0,
    }
    finish(begin_claimed())
    assert read_pending_by_definition()[many.pk] == 3
    cancel_campaign(campaign_id=campaign_id, **WHO)
    assert read_pending_by_definition()[many.pk] == 0


def test_pending_counts_are_one_query_over_their_index(host):
    row = save(host=host)
    queue(row, size=2_000)
    TrainingSource.objects.update(status="done")
    queue(row, size=3)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE training_trainingsource")
    with CaptureQueriesContext(connection) as captured:
        assert read_pending_by_definition()[row.pk] == 3
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {captured[0]['sql']}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert len(captured) == 1
    assert "source_of_definition" in plan


def test_the_shipped_example_waits_disabled_for_its_host(host):
    TaskDefinition.objects.all().delete()
    shipped.add_example(apps, None)
    row = TaskDefinition.objects.get()
    assert (row.title, row.host, row.enabled) == ("DivineStatus", None, False)
    with pytest.raises(Conflict, match="has no host yet"):
        queue(row)
    save_definition(definition_id=row.pk, changes={"host": make_host()}, **WHO)
    enable_definition(definition_id=row.pk, **WHO)
    assert queue(row, size=2).campaign_id
