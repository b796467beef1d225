"""A POST that is sent again with its `Idempotency-Key` is done once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from lealife.api.idempotency import HEADER
from lealife.api.root import api
from lealife.models import IdempotentAnswer
from tests.api.test_problems import assert_problem
from training.models import Campaign, Host, Run, TaskDefinition, TrainingSource

JSON = "application/json"
TASK = {"prompt": "Which page?", "host": "manual"}
CREATING: list[tuple[str, dict[str, Any], Any]] = [
    ("/api/tasks", TASK, Run),
    ("/api/training/sources", TASK, TrainingSource),
    ("/api/training/campaigns", {**TASK, "size": 3}, Campaign),
    ("/api/training/definitions", {**TASK, "title": "Pages"}, TaskDefinition),
]


def send(client: Client, address: str, body: object, key: str = "k-1") -> Any:
    return client.post(address, body, JSON, headers={HEADER: key})


@pytest.mark.parametrize(("address", "body", "model"), CREATING)
def test_the_same_request_twice_creates_once(
    host: Host, operator: Client, address: str, body: dict[str, Any], model: Any
) -> None:
    before = model.objects.count()
    first, second = send(operator, address, body), send(operator, address, body)
    assert first.status_code in {201, 202}
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert model.objects.count() == before + 1


def test_a_definition_is_queued_once(host: Host, operator: Client) -> None:
    href = send(operator, "/api/training/definitions", {**TASK, "title": "Pages"}).json()["href"]
    answers = [send(operator, f"{href}/actions/queue/", {"size": 4}).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert TrainingSource.objects.count() == 4


def test_a_task_is_repeated_once(host: Host, operator: Client) -> None:
    href = send(operator, "/api/tasks", TASK).json()["href"]
    first, second = (send(operator, f"{href}/actions/repeat/", None).json() for _ in range(2))
    assert first == second
    assert Run.objects.count() == 2


def test_the_loop_answers_a_repeated_start_alike(operator: Client) -> None:
    first, second = (send(operator, "/api/training/start", None) for _ in range(2))
    assert (first.status_code, first.json()) == (200, second.json())


def test_another_body_under_the_same_key_is_refused(host: Host, operator: Client) -> None:
    send(operator, "/api/tasks", TASK)
    assert_problem(send(operator, "/api/tasks", {**TASK, "prompt": "Which other?"}), 422, field=HEADER)
    assert Run.objects.count() == 1


def test_a_key_belongs_to_its_caller_and_its_address(host: Host, operator: Client, administrator: Client) -> None:
    send(operator, "/api/tasks", TASK)
    send(administrator, "/api/tasks", TASK)
    send(operator, "/api/training/sources", TASK)
    assert (Run.objects.count(), TrainingSource.objects.count()) == (2, 1)


def test_the_slash_makes_no_difference_to_a_key(host: Host, operator: Client) -> None:
    assert send(operator, "/api/tasks", TASK).json() == send(operator, "/api/tasks/", TASK).json()


def test_a_refused_request_may_be_mended_under_its_key(host: Host, operator: Client) -> None:
    assert send(operator, "/api/tasks", {**TASK, "host": "nowhere"}).status_code == 404
    assert send(operator, "/api/tasks", TASK).status_code == 202


def test_a_key_is_forgotten_after_a_day(host: Host, operator: Client) -> None:
    first = send(operator, "/api/tasks", TASK).json()
    IdempotentAnswer.objects.update(created_at=timezone.now() - timedelta(hours=24, minutes=1))
    assert send(operator, "/api/tasks", TASK).json() != first
    IdempotentAnswer.objects.update(created_at=timezone.now() - timedelta(hours=24, minutes=1))
    assert IdempotentAnswer.objects.expired(now=timezone.now()).count() == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a\x00b"])
def test_an_unusable_key_is_refused(host: Host, operator: Client, key: str) -> None:
    assert_problem(send(operator, "/api/tasks", TASK, key=key), 422, field=HEADER)


@pytest.mark.django_db
def test_a_key_at_an_unknown_address_does_no_harm() -> None:
    assert_problem(send(Client(), "/api/nothing", TASK), 404)


def test_the_answer_is_lost_with_the_work_in_a_crash(
    host: Host, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("killed after the work, before the commit")

    with monkeypatch.context() as patched:
        patched.setattr("lealife.api.idempotency._keep", crash)
        assert send(operator, "/api/tasks", TASK).status_code == 500
    assert (Run.objects.count(), IdempotentAnswer.objects.count()) == (0, 0)
    assert send(operator, "/api/tasks", TASK).status_code == 202
    assert Run.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_requests_at_the_same_moment_create_once(host: Host, operator: Client) -> None:
    barrier, answers = threading.Barrier(6), []

    def ask() -> None:
        client = Client(headers={"Authorization": operator.defaults["HTTP_AUTHORIZATION"]})
        barrier.wait()
        try:
            answers.append(send(client, "/api/training/campaigns", {**TASK, "size": 3}))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {201}
    assert len({json.dumps(answer.json()) for answer in answers}) == 1
    assert (Campaign.objects.count(), TrainingSource.objects.count()) == (1, 3)


def test_every_post_documents_the_header() -> None:
    for path, item in api.get_openapi_schema()["paths"].items():
        for method, operation in item.items():
            names = {parameter["name"] for parameter in operation.get("parameters", ())}
            assert (HEADER in names) == (method == "post"), path


SessionClient = Callable[..., Client]


def test_a_session_may_use_a_key_too(host: Host, session_client: SessionClient) -> None:
    client = session_client(superuser=True)
    assert send(client, "/api/tasks", TASK).json() == send(client, "/api/tasks", TASK).json()
    assert Run.objects.count() == 1
