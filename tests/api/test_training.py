"""Steering training over the API."""

from __future__ import annotations

import json

from django.test import Client

from training.models import AuditEntry, Campaign, Coordinator, Host, RuntimeSettings, TrainingSource

JSON = "application/json"
SETTINGS = "/api/training/settings"


def test_start_and_stop_change_what_is_enabled_and_leave_a_trace(operator: Client) -> None:
    started = operator.post("/api/training/start").json()
    assert started["enabled"] is True
    assert started["state"] != "running"  # nobody ticks in this test
    assert Coordinator.objects.get().enabled
    assert operator.post("/api/training/stop").json()["enabled"] is False
    trace = AuditEntry.objects.filter(actor="key:test operate", origin="api").order_by("id")
    assert [entry.action for entry in trace] == ["start training", "stop training"]


def test_status_is_the_training_page_as_json(host: Host, reader: Client) -> None:
    status = reader.get("/api/training/status").json()
    assert {"proof", "state", "lanes", "relay", "source", "cycles", "pending"} <= set(status)


def test_proof_is_the_first_panel_of_the_training_page(host: Host, reader: Client) -> None:
    proof = reader.get("/api/models/proof").json()
    assert set(proof) == set(reader.get("/api/training/status").json()["proof"])


def test_health_says_what_is_wrong(reader: Client) -> None:
    health = reader.get("/api/health").json()
    assert health["state"] != "healthy"
    assert health["reasons"]


def test_a_source_is_queued_and_listed(host: Host, operator: Client) -> None:
    body = {"title": "Queues", "prompt": "Which page explains queues?", "host": "manual", "priority": 5}
    queued = operator.post("/api/training/sources", body, JSON)
    assert queued.status_code == 201
    source = TrainingSource.objects.get()
    assert (source.queued_from, source.queued_by, source.priority) == ("api", "key:test operate", 5)
    listed = operator.get("/api/training/sources").json()["sources"]
    assert [entry["id"] for entry in listed] == [queued.json()["id"]]
    assert operator.get("/api/training/sources?kind=curriculum").json()["sources"] == []


def test_a_campaign_is_queued_watched_and_cancelled(host: Host, operator: Client) -> None:
    body = {"title": "Queues", "prompt": "Which page explains queues?", "host": "manual", "size": 3}
    made = operator.post("/api/training/campaigns", body, JSON)
    assert made.status_code == 201
    campaign = Campaign.objects.get()
    address = made.json()["href"]
    assert address == f"/api/training/campaigns/{campaign.pk}"
    assert operator.get(address).json()["queued"] == 3
    assert operator.post(f"{address}/actions/cancel/").json() == {"cancelled": 3}
    assert operator.get(address).json()["cancelled"] == 3


def test_a_draft_is_applied_against_its_version(operator: Client) -> None:
    version = operator.get(SETTINGS).json()["version"]
    applied = operator.patch(SETTINGS, {"version": version, "changes": {"retry_budget": 7}}, JSON)
    assert applied.status_code == 200
    assert applied.json()["version"] == version + 1
    assert applied.json()["values"]["retry_budget"] == 7
    assert RuntimeSettings.objects.get().updated_by == "key:test operate"


def test_a_stale_draft_is_a_conflict_with_the_difference(operator: Client) -> None:
    version = operator.get(SETTINGS).json()["version"]
    operator.patch(SETTINGS, {"version": version, "changes": {"retry_budget": 7}}, JSON)
    stale = operator.patch(SETTINGS, {"version": version, "changes": {"retry_budget": 9}}, JSON)
    assert stale.status_code == 409
    assert stale.json()["diff"] == {"retry_budget": [7, 9]}
    assert RuntimeSettings.objects.get().retry_budget == 7


def test_settings_of_every_task_need_the_admin_scope(operator: Client, administrator: Client) -> None:
    body = {"version": 1, "changes": {"global_max_concurrent_runs": 6}}
    assert operator.patch(SETTINGS, body, JSON).status_code == 403
    version = administrator.get(SETTINGS).json()["version"]
    assert administrator.patch(SETTINGS, body | {"version": version}, JSON).status_code == 200


def test_a_setting_out_of_bounds_is_refused_by_name(operator: Client) -> None:
    version = operator.get(SETTINGS).json()["version"]
    for name, value in (
        ("retry_budget", 0),
        ("retry_budget", 10**30),
        ("retry_budget", True),
        ("nothing", 1),
    ):
        body = json.dumps({"version": version, "changes": {name: value}})
        answer = operator.patch(SETTINGS, body, JSON)
        assert answer.status_code == 422, (name, value)
        assert answer.json()["errors"][0]["field"] == name


def test_a_rollback_with_nothing_to_roll_back_is_refused(administrator: Client) -> None:
    answer = administrator.post("/api/models/actions/roll-back/", {"role": "controller", "reason": "test"}, JSON)
    assert answer.status_code in {404, 409}
    assert answer["Content-Type"] == "application/problem+json"
