"""What staff do in admin goes through the product's actions, is refused in their words, and is logged."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from lealife.core.actors import Actor, command_line
from lealife.keys import OPERATING, find_key, read_key
from lealife.models import ApiKey
from learning.models import MemoryItem
from promotion.models import LiveApply, ModelTag, PromotionWindow
from training.models import (
    AuditEntry,
    Campaign,
    Host,
    RuntimeSettings,
    RuntimeSettingsChange,
    TrainingSource,
)
from training.runtime_settings import FIELDS, apply_settings, read_settings
from training.sources import queue_source

Rows = dict[type[Model], Model]


def run_action(client: Client, model: type[Model], action: str, *rows: Model, **extra: str) -> list[str]:
    """Chooses the action on the model's list; returns the messages shown."""
    listing = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    data = {"action": action, "_selected_action": [str(row.pk) for row in rows], **extra}
    answer = client.post(listing, data, follow=True)
    assert answer.redirect_chain, answer.content
    return [str(message) for message in answer.context["messages"]]


def queue(host: Host, title: str = "Queues") -> TrainingSource:
    return queue_source(
        title=title,
        prompt="Which page?",
        host=host,
        check_spec={},
        pages_target=None,
        queued_from="cli",
        by=command_line("bob"),
    )


def source_form(host: Host, **changes: Any) -> dict[str, Any]:
    return {
        "title": "Queues",
        "host": host.pk,
        "prompt": "Which page explains queues?",
        "check_spec": "{}",
        "pages_target": "",
        "priority": "0",
        **changes,
    }


def test_a_source_added_in_admin_is_queued_by_its_action(staff: Client, host: Host) -> None:
    answer = staff.post(reverse("admin:training_trainingsource_add"), source_form(host, priority="5"))
    assert answer.status_code == 302
    source = TrainingSource.objects.get()
    assert (source.kind, source.queued_from, source.queued_by, source.priority) == (
        "queue",
        "admin",
        "ada",
        5,
    )
    assert AuditEntry.objects.get(action="queue source").actor == "ada"
    assert LogEntry.objects.get().object_id == str(source.pk)


def test_a_refused_source_is_shown_again_with_the_reason(staff: Client, host: Host) -> None:
    form = source_form(host, check_spec='{"pattern": "("}')
    answer = staff.post(reverse("admin:training_trainingsource_add"), form)
    assert answer.status_code == 200
    page = answer.content.decode()
    assert "The success check cannot be used" in page
    assert "Which page explains queues?" in page
    assert not TrainingSource.objects.exists()
    assert not LogEntry.objects.exists()


def test_a_waiting_source_may_be_corrected(staff: Client, host: Host) -> None:
    source = queue(host)
    address = reverse("admin:training_trainingsource_change", args=[source.pk])
    assert staff.post(address, source_form(host, title="Better")).status_code == 302
    source.refresh_from_db()
    assert source.title == "Better"
    assert AuditEntry.objects.filter(action="correct source", actor="ada").exists()


def test_a_source_that_has_started_keeps_its_definition(staff: Client, host: Host) -> None:
    source = queue(host)
    TrainingSource.objects.update(status="claimed")
    address = reverse("admin:training_trainingsource_change", args=[source.pk])
    staff.post(address, source_form(host, title="Better"))
    source.refresh_from_db()
    assert (source.title, source.status) == ("Queues", "claimed")


def test_bulk_actions_move_sources_and_name_those_they_cannot(staff: Client, host: Host) -> None:
    waiting, claimed = queue(host), queue(host)
    TrainingSource.objects.filter(pk=claimed.pk).update(status="claimed")
    shown = run_action(staff, TrainingSource, "disable_selected", waiting, claimed)
    assert "1 disabled." in shown
    assert any(f"Source {claimed.pk} is claimed" in message for message in shown)
    waiting.refresh_from_db()
    assert waiting.status == "disabled"
    assert AuditEntry.objects.get(action="disable source").origin == "admin"
    assert LogEntry.objects.get().object_id == str(waiting.pk)


@pytest.mark.parametrize(
    ("before", "action", "after"),
    [
        ("pending", "disable_selected", "disabled"),
        ("disabled", "enable_selected", "pending"),
        ("failed", "requeue_selected", "pending"),
        ("pending", "cancel_selected", "cancelled"),
    ],
)
def test_each_action_of_a_source_does_what_it_says(
    staff: Client, host: Host, before: str, action: str, after: str
) -> None:
    source = queue(host)
    TrainingSource.objects.update(status=before)
    run_action(staff, TrainingSource, action, source)
    source.refresh_from_db()
    assert source.status == after


def test_a_campaign_added_in_admin_queues_its_sources_and_can_be_cancelled(staff: Client, host: Host) -> None:
    form = source_form(host, size="3")
    del form["priority"]
    assert staff.post(reverse("admin:training_campaign_add"), form).status_code == 302
    campaign = Campaign.objects.get()
    assert TrainingSource.objects.pending().filter(campaign=campaign).count() == 3
    assert "1 cancelled." in run_action(staff, Campaign, "cancel_selected", campaign)
    assert TrainingSource.objects.filter(status="cancelled").count() == 3


def settings_form(**changes: Any) -> dict[str, Any]:
    row = read_settings()
    values = {name: getattr(row, name) for name in FIELDS}
    shown = {name: "on" if value is True else value for name, value in values.items() if value is not False}
    return shown | {"based_on": row.version} | changes


def test_settings_open_on_a_new_installation(staff: Client) -> None:
    assert not RuntimeSettings.objects.exists()
    assert staff.get(reverse("admin:training_runtimesettings_change", args=[1])).status_code == 200


def test_saving_settings_applies_a_new_version_with_its_change_log(staff: Client) -> None:
    version = read_settings().version
    address = reverse("admin:training_runtimesettings_change", args=[1])
    assert staff.post(address, settings_form(window_size=12)).status_code == 302
    row = RuntimeSettings.objects.get()
    assert (row.version, row.window_size, row.updated_by) == (version + 1, 12, "ada")
    change = RuntimeSettingsChange.objects.get(version=row.version)
    assert (change.changed_by, change.changed_from) == ("ada", "admin")
    assert list(change.changes) == ["window_size"]


def test_settings_that_another_user_changed_are_not_overwritten(staff: Client) -> None:
    stale = settings_form(window_size=12)
    apply_settings(changes={"retry_budget": 9}, version=None, by=command_line("bob"), origin="page")
    answer = staff.post(reverse("admin:training_runtimesettings_change", args=[1]), stale)
    assert answer.status_code == 200
    assert "Settings were changed to version" in answer.content.decode()
    row = RuntimeSettings.objects.get()
    assert (row.retry_budget, row.updated_by) == (9, "bob")
    assert row.window_size != 12


def test_a_hosts_aliases_are_host_names(staff: Client, host: Host) -> None:
    form = {
        "name": "manual",
        "base_url": "http://127.0.0.1:9/",
        "aliases": '{"a": 1}',
        "enabled": "on",
        "politeness_delay_ms": "0",
    }
    address = reverse("admin:training_host_change", args=[host.pk])
    assert "Aliases are a list of host names" in staff.post(address, form).content.decode()
    assert staff.post(address, form | {"aliases": '["WWW.example.org"]'}).status_code == 302
    host.refresh_from_db()
    assert host.aliases == ["www.example.org"]
    assert AuditEntry.objects.filter(action="change host", actor="ada").exists()


def test_the_host_form_saves_stay_below_base_path(staff: Client, host: Host) -> None:
    address = reverse("admin:training_host_change", args=[host.pk])
    assert "Stay below base path" in staff.get(address).content.decode()
    form = {"name": "manual", "base_url": "http://127.0.0.1:9/docs/", "aliases": "[]", "politeness_delay_ms": "0"}
    assert staff.post(address, form | {"stay_below_base_path": "on"}).status_code == 302
    host.refresh_from_db()
    assert host.as_site().stay_below_base_path


def test_memory_is_retired(staff: Client, rows: Rows) -> None:
    item = rows[MemoryItem]
    assert run_action(staff, MemoryItem, "retire_selected", item) == ["1 retired."]
    item.refresh_from_db()
    assert item.status == "retired"


@pytest.mark.parametrize("action", ["purge_outcomes", "purge_hosts", "purge_since"])
def test_memory_is_purged_only_when_the_word_is_typed(staff: Client, rows: Rows, action: str) -> None:
    item = rows[MemoryItem]
    assert "Nothing was purged" in run_action(staff, MemoryItem, action, item)[0]
    assert MemoryItem.objects.exists()
    assert run_action(staff, MemoryItem, action, item, confirm="purge") == ["1 purged."]
    assert not MemoryItem.objects.exists()
    assert AuditEntry.objects.filter(action="purge memory", actor="ada", origin="admin").exists()


def test_staff_without_the_permission_cannot_purge(rows: Rows) -> None:
    user = User.objects.create_user("eve", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_memoryitem"))
    client = Client()
    client.force_login(user)
    run_action_of_eve = client.post(
        reverse("admin:learning_memoryitem_changelist"),
        {"action": "purge_hosts", "_selected_action": [str(rows[MemoryItem].pk)], "confirm": "purge"},
    )
    assert run_action_of_eve.status_code in {200, 302, 403}
    assert MemoryItem.objects.exists()


def test_a_tag_is_pinned_and_unpinned(staff: Client, rows: Rows) -> None:
    tag = rows[ModelTag]
    assert run_action(staff, ModelTag, "pin_selected", tag) == ["1 pinned."]
    tag.refresh_from_db()
    assert tag.pinned
    run_action(staff, ModelTag, "unpin_selected", tag)
    tag.refresh_from_db()
    assert not tag.pinned


def test_promotion_is_steered_from_its_windows(staff: Client, rows: Rows) -> None:
    window = rows[PromotionWindow]
    assert run_action(staff, PromotionWindow, "hold", window) == ["Promotion is on hold."]
    assert read_settings().promotion_hold
    assert run_action(staff, PromotionWindow, "evaluate", window) == ["Promotion is on hold: resume it first."]
    assert run_action(staff, PromotionWindow, "resume", window) == ["Promotion has resumed."]
    assert "has not ended yet" in run_action(staff, PromotionWindow, "drill", window)[0]
    assert [entry.actor for entry in AuditEntry.objects.filter(action__endswith="promotion")] == ["ada", "ada"]


def test_a_rollback_needs_a_reason_and_is_a_new_row(staff: Client, rows: Rows) -> None:
    apply = rows[LiveApply]
    assert "Enter a reason" in run_action(staff, LiveApply, "roll_back_selected", apply)[0]
    assert LiveApply.objects.count() == 1
    shown = run_action(staff, LiveApply, "roll_back_selected", apply, reason="It hurts.")
    assert shown == ["controller is served by controller:1 again."]
    back = LiveApply.objects.order_by("-id").first()
    assert (back.rolls_back, back.applied_by, back.reason) == (apply, "ada", "It hurts.")
    assert ModelTag.objects.get(status="active").name == "controller:1"
    again = run_action(staff, LiveApply, "roll_back_selected", apply, reason="Again.")
    assert f"Live apply {apply.pk} is no longer the last switch" in again[0]


def test_the_last_switch_can_be_rolled_back_after_its_tag_got_another_digest(staff: Client, rows: Rows) -> None:
    apply = rows[LiveApply]
    LiveApply.objects.create(
        role="controller", from_tag=apply.to_tag, from_digest="sha256:2", to_tag=apply.to_tag, to_digest="sha256:3"
    )
    shown = run_action(staff, LiveApply, "roll_back_selected", apply, reason="It hurts.")
    assert shown == ["controller is served by controller:1 again."]


def test_a_key_made_in_admin_is_shown_once_and_works(staff: Client) -> None:
    answer = staff.post(reverse("admin:lealife_apikey_add"), {"name": "cron", "scope": "operate"}, follow=True)
    shown = " ".join(str(message) for message in answer.context["messages"])
    secret = shown.split("The key is ")[1].split()[0]
    found = find_key(secret)
    assert found is not None
    assert read_key(found) == Actor("key:cron", OPERATING)
    key = ApiKey.objects.get()
    assert key.created_by == "ada"
    assert secret not in staff.get(reverse("admin:lealife_apikey_change", args=[key.pk])).content.decode()


def test_a_revoked_key_opens_nothing_any_more(staff: Client) -> None:
    staff.post(reverse("admin:lealife_apikey_add"), {"name": "cron", "scope": "read"})
    key = ApiKey.objects.get()
    assert "1 revoked." in run_action(staff, ApiKey, "revoke_selected", key)
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert "is already revoked" in run_action(staff, ApiKey, "revoke_selected", key)[-1]
