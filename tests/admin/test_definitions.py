"""Saved task definitions and campaigns in admin: the same actions, refused in the same words."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from lealife.core.actors import command_line
from tests.admin.test_actions import run_action
from training.campaigns import create_campaign
from training.definitions import queue_definition, save_definition
from training.models import AuditEntry, Campaign, Host, TaskDefinition, TrainingSource

ADD = "admin:training_taskdefinition_add"


def form(**changes: Any) -> dict[str, Any]:
    task = {"title": "Prices", "prompt": "Which page names the price?", "host": "", "check_spec": "{}"}
    return task | {"pages_target": ""} | changes


def save(host: Host | None) -> TaskDefinition:
    changes = {"title": "Prices", "prompt": "Which page names the price?", "host": host}
    return save_definition(changes=changes, by=command_line("bob"), origin="cli")


def test_a_definition_waits_for_its_host_and_is_queued_once_it_has_one(staff: Client, host: Host) -> None:
    assert staff.post(reverse(ADD), form()).status_code == 302
    row = TaskDefinition.objects.get(title="Prices")
    assert (row.host, row.enabled, row.created_by) == (None, False, "ada")
    assert "has no host yet" in run_action(staff, TaskDefinition, "enable_selected", row)[-1]
    assert "has no host yet" in run_action(staff, TaskDefinition, "queue_selected", row)[-1]

    change = reverse("admin:training_taskdefinition_change", args=[row.pk])
    assert staff.post(change, form(host=host.pk)).status_code == 302
    assert run_action(staff, TaskDefinition, "enable_selected", row)[-1] == "1 enabled."
    assert run_action(staff, TaskDefinition, "queue_selected", row) == ["1 queued."]
    source = TrainingSource.objects.get()
    assert (source.definition, source.queued_from, source.queued_by) == (row, "admin", "ada")
    assert AuditEntry.objects.get(action="change definition").details == {"fields": ["host"]}
    assert LogEntry.objects.filter(object_id=str(row.pk)).count() == 4


def test_the_number_next_to_the_action_decides_how_many_runs_are_queued(staff: Client, host: Host) -> None:
    run_action(staff, TaskDefinition, "queue_selected", save(host), size="5")
    assert Campaign.objects.get().size == 5


@pytest.mark.parametrize("size", ["0", "-1", "10001", "many", "2.5", "True", "9" * 5000])
def test_an_unusable_size_is_refused_in_a_sentence(staff: Client, host: Host, size: str) -> None:
    (shown,) = run_action(staff, TaskDefinition, "queue_selected", save(host), size=size)
    assert shown.startswith("A campaign must have 1–10,000 runs, not ")
    assert len(shown) < 80
    assert not TrainingSource.objects.exists()


def test_a_disabled_definition_is_refused_until_it_is_enabled(staff: Client, host: Host) -> None:
    row = save(host)
    assert run_action(staff, TaskDefinition, "disable_selected", row) == ["1 disabled."]
    assert run_action(staff, TaskDefinition, "queue_selected", row) == ["“Prices” is disabled."]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"title": ""}, "This field is required."),
        ({"prompt": "x" * 1_000_000}, "The prompt has 1,000,000 characters; 20,000 are allowed."),
        ({"pages_target": "51"}, "A pages target must be 1–50, not 51."),
        ({"check_spec": '{"pattern": "("}'}, "The success check cannot be used"),
    ],
)
def test_a_bad_definition_is_shown_again_with_the_reason(
    staff: Client, host: Host, changes: dict[str, Any], said: str
) -> None:
    before = TaskDefinition.objects.count()
    answer = staff.post(reverse(ADD), form(**changes))
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert TaskDefinition.objects.count() == before


def test_an_enabled_definition_keeps_its_host(staff: Client, host: Host) -> None:
    change = reverse("admin:training_taskdefinition_change", args=[save(host).pk])
    assert "disable it first" in staff.post(change, form()).content.decode()


def test_a_definition_that_was_never_queued_is_deleted_with_a_trace(staff: Client, host: Host) -> None:
    row = save(host)
    delete = reverse("admin:training_taskdefinition_delete", args=[row.pk])
    assert staff.post(delete, {"post": "yes"}).status_code == 302
    assert not TaskDefinition.objects.filter(pk=row.pk).exists()
    assert AuditEntry.objects.get(action="delete definition").details == {"title": "Prices"}


def test_a_definition_that_was_queued_is_not_deleted(staff: Client, host: Host) -> None:
    row = save(host)
    queue_definition(definition_id=row.pk, queued_from="cli", by=command_line("bob"))
    staff.post(reverse("admin:training_taskdefinition_delete", args=[row.pk]), {"post": "yes"})
    assert TaskDefinition.objects.filter(pk=row.pk).exists()


def test_the_failed_sources_of_a_campaign_are_queued_again(staff: Client, host: Host) -> None:
    task: dict[str, Any] = {"title": "Many", "prompt": "Which?", "check_spec": None, "pages_target": None, "size": 3}
    campaign = create_campaign(**task, host=host, queued_from="cli", by=command_line("bob"))
    assert "no source has failed" in run_action(staff, Campaign, "requeue_selected", campaign)[0]
    TrainingSource.objects.update(status="disabled", failed_attempts=3)
    assert run_action(staff, Campaign, "requeue_selected", campaign) == ["1 queued again."]
    assert TrainingSource.objects.filter(status="pending", failed_attempts=0).count() == 3
