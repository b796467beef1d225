"""Bad input ends in a problem that says what to do, never in a fault."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client, RequestFactory

from lealife.api.problems import CONTENT_TYPE, on_database_away, on_unexpected
from lealife.api.root import api
from lealife.api.throttle import CallerThrottle
from training.models import Host, Run

JSON = "application/json"


def assert_problem(answer: Any, status: int, *, field: str | None = None) -> dict[str, Any]:
    problem = json.loads(answer.content)
    assert answer.status_code == status, problem
    assert answer["Content-Type"] == CONTENT_TYPE
    assert problem["status"] == status
    assert problem["type"].startswith("urn:lealife:problem:")
    assert problem["detail"]
    if field:
        assert field in {error["field"] for error in problem["errors"]}
    return problem


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": "  \n "}, "prompt"),
        ({"prompt": "x" * 20_001}, "prompt"),
        ({"prompt": "a\x00b"}, "prompt"),
        ({"prompt": "\ud800"}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"host": "x" * 501}, "host"),
        ({"host": "a\x00b"}, "host"),
        ({"pages_target": 0}, "pages_target"),
        ({"pages_target": 51}, "pages_target"),
        ({"pages_target": 10**30}, "pages_target"),
        ({"pages_target": "many"}, "pages_target"),
        ({"check": {"pattern": "("}}, "check"),
        ({"check": {"expected_text": "a\x00b"}}, "check"),
        ({"check": {"expected_text": "x" * 30_000}}, "check"),
        ({"check": {"json_schema": {"minimum": float("nan")}}}, "check"),
        ({"check": []}, "check"),
        ({"promt": "misspelt"}, "promt"),
    ],
)
def test_a_bad_task_is_refused_field_by_field(host: Host, operator: Client, change: dict[str, Any], field: str) -> None:
    body = json.dumps({"prompt": "Which page?", "host": "manual"} | change)
    problem = assert_problem(operator.post("/api/tasks", body, JSON), 422, field=field)
    assert problem["code"] == "invalid_input"
    assert not Run.objects.exists()


@pytest.mark.parametrize("name", ["nowhere", "http://elsewhere.example/", "http://["])
def test_an_unknown_host_is_not_found(host: Host, operator: Client, name: str) -> None:
    answer = operator.post("/api/tasks", {"prompt": "Which page?", "host": name}, JSON)
    assert_problem(answer, 404, field="host")


def test_an_address_in_the_prompt_that_is_none_does_no_harm(host: Host, operator: Client) -> None:
    answer = operator.post("/api/tasks", {"prompt": "What is http://[ for?"}, JSON)
    assert answer.status_code == 202


def test_an_archived_host_is_refused(host: Host, operator: Client) -> None:
    Host.objects.update(enabled=False)
    answer = operator.post("/api/tasks", {"prompt": "Which page?", "host": "manual"}, JSON)
    assert_problem(answer, 422, field="host")


@pytest.mark.parametrize("body", ["{", "[" * 100_000, '{"pages_target": ' + "9" * 5000 + "}", "\xff"])
def test_a_body_that_is_no_json_is_refused(host: Host, operator: Client, body: str) -> None:
    assert_problem(operator.post("/api/tasks", body.encode("latin-1"), JSON), 400)


def test_a_body_that_is_too_large_is_refused(host: Host, operator: Client) -> None:
    assert_problem(operator.post("/api/tasks", b" " * 3_000_000, JSON), 413)


@pytest.mark.parametrize("number", ["0", "-1", "9223372036854775808", "1" + "0" * 30, "one"])
def test_an_id_out_of_bounds_is_refused(reader: Client, number: str) -> None:
    assert_problem(reader.get(f"/api/tasks/{number}"), 422)
    assert_problem(reader.get(f"/api/tasks?before={number}"), 422)
    assert_problem(reader.get(f"/api/training/campaigns/{number}"), 422)


@pytest.mark.parametrize("limit", ["0", "101", "1" + "0" * 30])
def test_a_list_is_at_most_100_long(reader: Client, limit: str) -> None:
    assert_problem(reader.get(f"/api/tasks?limit={limit}"), 422)
    assert_problem(reader.get(f"/api/training/sources?limit={limit}"), 422)


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/api/nothing", "/api/tasks/1/2/3", "/api/nothing/"])
def test_an_unknown_address_is_not_found(address: str) -> None:
    assert_problem(Client().get(address), 404)


def test_too_many_requests_get_a_retry_after(reader: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    (throttle,) = api.throttle
    assert isinstance(throttle, CallerThrottle)
    monkeypatch.setattr(throttle, "limit", 2)
    assert [reader.get("/api/tasks").status_code for _ in range(2)] == [200, 200]
    answer = reader.get("/api/tasks")
    assert_problem(answer, 429)
    assert 1 <= int(answer["Retry-After"]) <= 60


def test_an_unexpected_error_is_logged_and_hidden_from_the_client(caplog: pytest.LogCaptureFixture) -> None:
    request = RequestFactory().get("/api/tasks")
    with caplog.at_level(logging.ERROR):
        answer = on_unexpected(request, RuntimeError("the password is swordfish"))
    problem = assert_problem(answer, 500)
    assert b"swordfish" not in answer.content
    assert problem["incident"] in caplog.text


def test_a_database_that_is_away_is_a_matter_of_time() -> None:
    answer = on_database_away(RequestFactory().get("/api/tasks"), OperationalError("connection refused"))
    assert_problem(answer, 503)
    assert answer["Retry-After"] == "5"
