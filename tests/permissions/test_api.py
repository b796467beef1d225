"""The API: every endpoint × every caller, by session and by key."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from lealife.api.root import api
from lealife.core.actors import command_line
from lealife.keys import OPERATING, create_api_key
from tests.permissions.conftest import make_callers, make_user, undone
from tests.permissions.table import API, STAFF, list_deciders
from training.models import AuditEntry, Host

pytestmark = pytest.mark.django_db
each_endpoint = pytest.mark.parametrize(("method", "address", "body", "needed"), API)
SCOPES = {"read": lambda needed: needed == STAFF, "operate": lambda needed: needed in {STAFF, *OPERATING}}


@pytest.fixture(autouse=True)
def host(db: None) -> Host:
    """A host to ask about; no test fetches anything from it."""
    cache.clear()
    return Host.objects.create(name="manual", base_url="http://127.0.0.1:9/", may_be_private=True)


def call(client: Client, method: str, address: str, body: object) -> int:
    """The status; what was changed is taken back."""
    with undone():
        before = AuditEntry.objects.count()
        status = getattr(client, method)(address, data=body, content_type="application/json").status_code
        assert status != 403 or AuditEntry.objects.count() == before
        return status


def open_session(user: User, *, csrf: bool = True) -> Client:
    """A browser's session, with its CSRF token or without."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    if csrf:
        token = client.get("/login/").cookies.get("csrftoken") or client.get("/training/").cookies["csrftoken"]
        client.defaults["HTTP_X_CSRFTOKEN"] = token.value
    return client


def open_key(scope: str, *, owner: User | None = None) -> Client:
    """A client with a key of this scope."""
    name = f"{scope} of {owner}"
    _, secret = create_api_key(name=name, scope=scope, by=command_line("tests"), origin="cli", owner=owner)
    return Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {secret}"})


def test_every_endpoint_has_its_row_and_asks_for_its_permission() -> None:
    paths = api.get_openapi_schema()["paths"]
    documented = {(method, path) for path, item in paths.items() for method in item}
    assert {(method, re.sub(r"(\w+)s/1", r"\1s/{\1_id}", address)) for method, address, _, _ in API} == documented
    asked = {
        (method.lower(), f"/api{prefix}{path}".rstrip("/") if path == "" else f"/api{prefix}{path}"): {
            way.permission for way in operation.auth_callbacks
        }
        for prefix, router in api._routers
        for path, view in router.path_operations.items()
        for operation in view.operations
        if operation.include_in_schema
        for method in operation.methods
    }
    listed = {
        (method, re.sub(r"(\w+)s/1", r"\1s/{\1_id}", address)): set() if needed == STAFF else {needed}
        for method, address, _, needed in API
    }
    assert asked == listed


@each_endpoint
def test_anonymous_caller_gets_401(method: str, address: str, body: object, needed: str) -> None:
    assert call(Client(enforce_csrf_checks=True), method, address, body) == 401


@each_endpoint
def test_a_session_may_do_what_the_table_says(
    cheap_requests: None, method: str, address: str, body: object, needed: str
) -> None:
    wrong = []
    expected = list_deciders(needed)
    for caller, user in make_callers(expected).items():
        client = Client()
        client.force_login(user)
        status = call(client, method, address, body)
        if status in {401, 500} or (status != 403) != expected[caller]:
            wrong.append((caller, status))
    assert wrong == []


@each_endpoint
@pytest.mark.parametrize("scope", ["read", "operate", "admin"])
def test_a_key_may_do_what_its_scope_reaches(scope: str, method: str, address: str, body: object, needed: str) -> None:
    status = call(open_key(scope), method, address, body)
    reaches: Callable[[str], bool] = SCOPES.get(scope, lambda needed: True)
    assert (status != 403) == reaches(needed)
    assert status not in {401, 500}


@each_endpoint
@pytest.mark.parametrize("scope", ["operate", "admin"])
def test_a_key_never_does_more_than_its_owner_may(
    scope: str, method: str, address: str, body: object, needed: str
) -> None:
    owner = make_user("owner", "training.start_training", "promotion.roll_back")
    status = call(open_key(scope, owner=owner), method, address, body)
    own = {"training.start_training"} | ({"promotion.roll_back"} if scope == "admin" else set())
    assert (status != 403) == (needed == STAFF or needed in own)


@each_endpoint
def test_a_session_without_its_csrf_token_may_only_read(method: str, address: str, body: object, needed: str) -> None:
    client = open_session(User.objects.create_superuser("root"), csrf=False)
    assert (call(client, method, address, body) == 403) == (method != "get")


@each_endpoint
def test_a_signed_in_user_who_is_not_staff_is_refused(method: str, address: str, body: object, needed: str) -> None:
    user = make_user("visitor", *([] if needed == STAFF else [needed]), is_staff=False)
    client = Client()
    client.force_login(user)
    assert call(client, method, address, body) == 403


def test_a_setting_beyond_training_needs_more_than_the_scope_operate() -> None:
    body = {"version": 1, "changes": {"global_max_concurrent_runs": 9}}
    assert call(open_key("operate"), "patch", "/api/training/settings", body) == 403
    assert call(open_key("admin"), "patch", "/api/training/settings", body) == 200


def test_the_refusal_is_a_problem_that_names_the_permission() -> None:
    client = Client()
    client.force_login(make_user("ann"))
    answer = client.post("/api/training/start")
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["detail"] == "ann may not start training: it needs the permission training.start_training."
    assert (problem["code"], problem["permission"]) == ("forbidden", "training.start_training")
