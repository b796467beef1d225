"""Who may call what. The matrix: caller × endpoint."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client

from lealife.api.root import api
from lealife.auth import RANKS, create_api_key
from lealife.lib.digest import digest_bytes
from lealife.models import ApiKey
from training.models import Host

TASK = {"prompt": "Which page explains queues?", "host": "manual"}
ENDPOINTS = [
    # method, address, body, scope
    ("post", "/api/tasks", TASK, "operate"),
    ("get", "/api/tasks", None, "read"),
    ("get", "/api/tasks/1", None, "read"),
    ("post", "/api/tasks/1/actions/repeat/", None, "operate"),
    ("post", "/api/tasks/1/actions/train/", {"title": "Queues"}, "operate"),
    ("post", "/api/tasks/1/actions/verdict/", {"right": True, "note": "Read it."}, "operate"),
    ("post", "/api/training/start", None, "operate"),
    ("post", "/api/training/stop", None, "operate"),
    ("get", "/api/training/status", None, "read"),
    ("get", "/api/training/sources", None, "read"),
    ("post", "/api/training/sources", TASK, "operate"),
    ("post", "/api/training/campaigns", {**TASK, "size": 2}, "operate"),
    ("get", "/api/training/campaigns/1", None, "read"),
    ("post", "/api/training/campaigns/1/actions/cancel/", None, "operate"),
    ("post", "/api/training/campaigns/1/actions/requeue-failed/", None, "operate"),
    ("get", "/api/training/definitions", None, "read"),
    ("post", "/api/training/definitions", {**TASK, "title": "Queues"}, "operate"),
    ("get", "/api/training/definitions/1", None, "read"),
    ("patch", "/api/training/definitions/1", {"title": "Queues"}, "operate"),
    ("post", "/api/training/definitions/1/actions/queue/", {"size": 2}, "operate"),
    ("post", "/api/training/definitions/1/actions/enable/", None, "operate"),
    ("post", "/api/training/definitions/1/actions/disable/", None, "operate"),
    ("get", "/api/training/settings", None, "read"),
    ("patch", "/api/training/settings", {"version": 1, "changes": {"retry_budget": 5}}, "operate"),
    ("get", "/api/models/proof", None, "read"),
    ("post", "/api/models/actions/roll-back/", {"role": "controller", "reason": "test"}, "admin"),
    ("get", "/api/health", None, "read"),
]
each_endpoint = pytest.mark.parametrize(("method", "address", "body", "needed"), ENDPOINTS)


def call(client: Client, method: str, address: str, body: object) -> int:
    return getattr(client, method)(address, data=body, content_type="application/json").status_code


def test_the_matrix_names_every_endpoint() -> None:
    paths = api.get_openapi_schema()["paths"]
    documented = {(method, path) for path, item in paths.items() for method in item}
    listed = {(method, re.sub(r"(\w+)s/1", r"\1s/{\1_id}", address)) for method, address, _, _ in ENDPOINTS}
    assert listed == documented


@each_endpoint
def test_nobody_is_told_to_authenticate(host: Host, method: str, address: str, body: object, needed: str) -> None:
    assert call(Client(enforce_csrf_checks=True), method, address, body) == 401


@each_endpoint
@pytest.mark.parametrize("scope", list(RANKS))
def test_a_key_may_do_what_its_scope_reaches(
    host: Host,
    key_client: Callable[[str], Client],
    scope: str,
    method: str,
    address: str,
    body: object,
    needed: str,
) -> None:
    status = call(key_client(scope), method, address, body)
    assert (status == 403) == (RANKS[scope] < RANKS[needed])
    assert status not in {401, 500}


@each_endpoint
def test_a_session_with_its_csrf_token_may_operate(
    host: Host,
    session_client: Callable[..., Client],
    method: str,
    address: str,
    body: object,
    needed: str,
) -> None:
    status = call(session_client(), method, address, body)
    assert (status == 403) == (needed == "admin")
    assert status not in {401, 500}


@each_endpoint
def test_a_superusers_session_may_do_all(
    host: Host,
    session_client: Callable[..., Client],
    method: str,
    address: str,
    body: object,
    needed: str,
) -> None:
    assert call(session_client(superuser=True), method, address, body) not in {401, 403, 500}


@each_endpoint
def test_a_session_without_its_csrf_token_may_only_read(
    host: Host,
    session_client: Callable[..., Client],
    method: str,
    address: str,
    body: object,
    needed: str,
) -> None:
    status = call(session_client(superuser=True, csrf=False), method, address, body)
    assert (status == 403) == (method != "get")


@each_endpoint
def test_a_signed_in_user_who_is_not_staff_is_refused(
    host: Host,
    session_client: Callable[..., Client],
    method: str,
    address: str,
    body: object,
    needed: str,
) -> None:
    assert call(session_client(staff=False), method, address, body) == 403


def test_a_revoked_key_is_refused(reader: Client) -> None:
    assert reader.get("/api/tasks").status_code == 200
    ApiKey.objects.update(revoked_at="2026-01-01T00:00:00Z")
    assert reader.get("/api/tasks").status_code == 401


def test_a_wrong_key_never_falls_back_to_the_session(session_client: Callable[..., Client]) -> None:
    client = session_client(superuser=True)
    answer = client.get("/api/tasks", headers={"Authorization": "Bearer lea_wrong"})
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.django_db
def test_a_key_is_stored_as_its_digest_only() -> None:
    key, secret = create_api_key(name="cron", scope="read", by="tests", origin="cli")
    assert key.key_digest == digest_bytes(secret.encode())
    assert secret not in str(ApiKey.objects.values())


def test_using_a_key_is_noted_at_most_once_a_minute(reader: Client) -> None:
    reader.get("/api/tasks")
    first = ApiKey.objects.get().last_used_at
    reader.get("/api/tasks")
    assert first is not None
    assert ApiKey.objects.get().last_used_at == first
