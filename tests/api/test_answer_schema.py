"""A JSON schema for the answer of whatever is asked, queued or saved over the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.api.test_problems import assert_problem
from training.models import Host, Run, TaskDefinition, TrainingSource

JSON = "application/json"
SCHEMA = {"type": "object", "properties": {"port": {"type": "integer"}}, "required": ["port"]}
TASK = {"prompt": "Which port?", "host": "manual"}


def test_a_question_carries_the_schema_of_its_answer(host: Host, operator: Client) -> None:
    answer = operator.post("/api/tasks", TASK | {"answer_schema": SCHEMA, "check": {"pattern": "port"}}, JSON)
    assert answer.status_code == 202
    assert Run.objects.get().check_spec == {"pattern": "port", "json_schema": SCHEMA}
    assert operator.get(answer.json()["href"]).json()["answer_schema"] == SCHEMA


def test_without_one_there_is_none(host: Host, operator: Client) -> None:
    answer = operator.post("/api/tasks", TASK, JSON)
    assert operator.get(answer.json()["href"]).json()["answer_schema"] is None
    assert Run.objects.get().check_spec == {}


def test_sources_and_definitions_carry_it_too(host: Host, operator: Client) -> None:
    body = TASK | {"title": "Ports", "answer_schema": SCHEMA}
    for address, rows in (
        ("/api/training/sources", TrainingSource.objects.all()),
        ("/api/training/definitions", TaskDefinition.objects.filter(title="Ports")),
    ):
        assert operator.post(address, body, JSON).status_code == 201
        assert rows.get().check_spec == {"json_schema": SCHEMA}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"answer_schema": {"type": "object", "minimum": 3}}, "json_schema cannot check 'minimum'"),
        ({"answer_schema": {"type": "nonsense"}}, "json_schema is not valid"),
        ({"answer_schema": {}}, "it is empty"),
        ({"answer_schema": SCHEMA, "check": {"json_schema": {"type": "array"}}}, "has another json_schema"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_at_its_field(
    host: Host, operator: Client, body: dict[str, Any], words: str
) -> None:
    for address in ("/api/tasks", "/api/training/definitions"):
        more = {"title": "Ports"} if "definitions" in address else {}
        problem = assert_problem(operator.post(address, TASK | more | body, JSON), 422, field="answer_schema")
        assert words in problem["detail"]
    assert not Run.objects.exists()


def test_a_schema_that_is_no_object_or_far_too_large_is_refused(host: Host, operator: Client) -> None:
    for schema in ([], "x", {"title": "x" * 20_000}):
        assert_problem(operator.post("/api/tasks", TASK | {"answer_schema": schema}, JSON), 422)
