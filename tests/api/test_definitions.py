"""Saved task definitions over the API: written, queued, refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from tests.api.test_problems import assert_problem
from training.campaigns import SIZE_MAX
from training.models import AuditEntry, Campaign, Host, TaskDefinition, TrainingSource

JSON = "application/json"
DEFINITIONS = "/api/training/definitions"
TASK = {"title": "Prices", "prompt": "Which page names the price?", "host": "manual"}
SIZES = [0, -1, SIZE_MAX + 1, "many", "3", 2.5, 2.0, True, None, 10**30]


def save(client: Client, **changes: Any) -> dict[str, Any]:
    answer = client.post(DEFINITIONS, TASK | changes, JSON)
    assert answer.status_code == 201, answer.content
    return answer.json()


def queue(client: Client, definition: dict[str, Any], **body: Any) -> Any:
    return client.post(f"{definition['href']}/actions/queue/", json.dumps(body), JSON)


def test_a_definition_is_saved_read_and_listed(host: Host, operator: Client) -> None:
    saved = save(operator, check={"expected_text": "price"}, pages_target=2)
    assert (saved["host"], saved["state"], saved["pending"], saved["enabled"]) == ("manual", "ready", 0, True)
    assert (saved["check"]["expected_text"], saved["created_by"]) == ("price", "key:test operate")
    assert operator.get(saved["href"]).json() == saved
    listed = operator.get(DEFINITIONS).json()["definitions"]
    assert listed[0] == saved


def test_a_list_goes_on_below_the_last_one(host: Host, operator: Client) -> None:
    first, second = save(operator, title="First"), save(operator, title="Second")
    page = operator.get(f"{DEFINITIONS}?limit=1").json()
    assert [row["id"] for row in page["definitions"]] == [second["id"]]
    page = operator.get(f"{DEFINITIONS}?limit=1&before={page['next_before']}").json()
    assert [row["id"] for row in page["definitions"]] == [first["id"]]


def test_a_change_touches_only_what_was_sent(host: Host, operator: Client) -> None:
    saved = save(operator, pages_target=2)
    changed = operator.patch(saved["href"], {"title": "Costs"}, JSON).json()
    assert {name for name in saved if saved[name] != changed[name]} == {"title", "updated_at"}
    cleared = operator.patch(saved["href"], {"pages_target": None}, JSON).json()
    assert cleared["pages_target"] is None
    assert AuditEntry.objects.filter(action="change definition", actor="key:test operate").count() == 2


def test_one_run_is_queued_and_counted_as_pending(host: Host, operator: Client) -> None:
    saved = save(operator)
    answer = queue(operator, saved)
    assert answer.status_code == 201
    source = TrainingSource.objects.get()
    assert answer.json() == {"size": 1, "source_id": source.pk, "campaign_id": None, "href": None}
    assert (source.queued_from, source.definition_id) == ("api", saved["id"])
    assert operator.get(saved["href"]).json()["pending"] == 1
    (listed,) = operator.get("/api/training/sources").json()["sources"]
    assert listed["definition_id"] == saved["id"]


def test_a_campaign_of_a_definition_is_queued_and_its_progress_linked(host: Host, operator: Client) -> None:
    saved = save(operator)
    queued = queue(operator, saved, size=3).json()
    assert (queued["campaign_id"], queued["source_id"]) == (Campaign.objects.get().pk, None)
    progress = operator.get(queued["href"]).json()
    assert (progress["queued"], progress["host"], progress["definition_id"]) == (3, "manual", saved["id"])


def test_what_is_not_ready_is_a_conflict_with_its_reason(host: Host, operator: Client) -> None:
    homeless = save(operator, title="Homeless", host=None)
    assert (homeless["state"], homeless["enabled"]) == ("no host", False)
    assert "has no host yet" in assert_problem(queue(operator, homeless), 409, field="definition")["detail"]
    assert_problem(operator.post(f"{homeless['href']}/actions/enable/"), 409, field="host")

    saved = save(operator)
    assert operator.post(f"{saved['href']}/actions/disable/").json()["state"] == "disabled"
    assert "is disabled" in assert_problem(queue(operator, saved), 409)["detail"]
    assert_problem(operator.post(f"{saved['href']}/actions/disable/"), 409)
    assert operator.post(f"{saved['href']}/actions/enable/").json()["state"] == "ready"

    Host.objects.update(enabled=False)
    assert operator.get(saved["href"]).json()["state"] == "host archived"
    assert "host manual is archived" in assert_problem(queue(operator, saved, size=2), 409)["detail"]
    assert not TrainingSource.objects.exists()


@pytest.mark.parametrize("size", SIZES)
def test_an_unusable_size_is_refused_for_a_definition_and_for_a_campaign(
    host: Host, operator: Client, size: Any
) -> None:
    assert_problem(queue(operator, save(operator), size=size), 422, field="size")
    body = json.dumps({"prompt": "Which page?", "host": "manual", "size": size})
    assert_problem(operator.post("/api/training/campaigns", body, JSON), 422, field="size")
    assert not TrainingSource.objects.exists()


@pytest.mark.parametrize("address", ["/api/training/campaigns", "/api/training/sources", DEFINITIONS, "/api/tasks"])
def test_a_megabyte_of_prompt_is_refused(host: Host, operator: Client, address: str) -> None:
    before = TaskDefinition.objects.count()
    body: dict[str, Any] = {"prompt": "x" * 1_000_000, "host": "manual"}
    body |= {"size": 3} if "campaigns" in address else {"title": "Long"} if address == DEFINITIONS else {}
    answer = operator.post(address, body, JSON)
    problem = assert_problem(answer, 422, field="prompt")
    assert len(problem["errors"]) == 1
    assert len(answer.content) < 1_000  # the input is not echoed
    assert TaskDefinition.objects.count() == before
    assert not TrainingSource.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "  "}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"title": None}, "title"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": "x" * 1_000_000}, "prompt"),
        ({"pages_target": 51}, "pages_target"),
        ({"pages_target": True}, "pages_target"),
        ({"check": {"pattern": "("}}, "check"),
        ({"host": None}, "host"),
        ({"enabled": False}, "enabled"),
    ],
)
def test_a_bad_change_is_refused_field_by_field(
    host: Host, operator: Client, change: dict[str, Any], field: str
) -> None:
    saved = save(operator)
    assert_problem(operator.patch(saved["href"], change, JSON), 422, field=field)
    assert operator.get(saved["href"]).json() == saved


def test_an_unknown_host_and_a_taken_title_are_refused(host: Host, operator: Client) -> None:
    save(operator)
    assert_problem(operator.post(DEFINITIONS, TASK, JSON), 409, field="title")
    assert_problem(operator.post(DEFINITIONS, TASK | {"title": "T", "host": "nowhere"}, JSON), 404, field="host")


@pytest.mark.parametrize("action", ["queue", "enable", "disable"])
def test_a_missing_definition_is_not_found(operator: Client, action: str) -> None:
    assert_problem(operator.post(f"{DEFINITIONS}/999999/actions/{action}/", {}, JSON), 404)


def test_what_failed_of_a_campaign_is_queued_again(host: Host, operator: Client) -> None:
    href = queue(operator, save(operator), size=3).json()["href"]
    assert_problem(operator.post(f"{href}/actions/requeue-failed/"), 409)
    TrainingSource.objects.update(status="disabled", failed_attempts=3)
    assert operator.get(href).json()["disabled"] == 3
    assert operator.post(f"{href}/actions/requeue-failed/").json() == {"requeued": 3}
    progress = operator.get(href).json()
    assert (progress["queued"], progress["disabled"], progress["percent"]) == (3, 0, 0)
    operator.post(f"{href}/actions/cancel/")
    assert "is cancelled" in assert_problem(operator.post(f"{href}/actions/requeue-failed/"), 409)["detail"]


def test_a_campaign_whose_host_is_archived_says_so_and_can_be_cancelled(host: Host, operator: Client) -> None:
    href = queue(operator, save(operator), size=3).json()["href"]
    Host.objects.update(enabled=False)
    progress = operator.get(href).json()
    assert (progress["queued"], progress["host_enabled"]) == (3, False)
    assert operator.post(f"{href}/actions/cancel/").json() == {"cancelled": 3}
