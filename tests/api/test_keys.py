"""API keys: whose they are, how long they are good, and what a wrong one is answered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from lealife import auth
from lealife.auth import WRONG_KEYS
from lealife.core.actors import Actor, command_line, read_user
from lealife.core.digest import digest_bytes
from lealife.core.errors import Forbidden, InvalidInput
from lealife.keys import OPERATING, create_api_key
from lealife.models import ApiKey, WrongKeys
from tests.permissions.conftest import make_user
from training.models import AuditEntry

pytestmark = pytest.mark.django_db
MAKE = "lealife.add_apikey"


def make_key(owner: User | None, *, scope: str = "operate", **more: int) -> Client:
    _, secret = create_api_key(
        name=f"key of {owner}", scope=scope, by=command_line("tests"), origin="cli", owner=owner, **more
    )
    return Client(headers={"Authorization": f"Bearer {secret}"})


def read_refusal(client: Client) -> str:
    answer = client.get("/api/tasks")
    assert answer.status_code == 401
    return answer.json()["detail"]


def test_a_key_is_stored_as_its_digest_only() -> None:
    key, secret = create_api_key(name="cron", scope="read", by=command_line("tests"), origin="cli")
    assert key.key_digest == digest_bytes(secret.encode())
    assert secret not in str(ApiKey.objects.values())


def test_using_a_key_is_noted_at_most_once_a_minute(reader: Client) -> None:
    reader.get("/api/tasks")
    first = ApiKey.objects.get().last_used_at
    reader.get("/api/tasks")
    assert first is not None
    assert ApiKey.objects.get().last_used_at == first


def test_a_revoked_key_is_refused(reader: Client) -> None:
    assert reader.get("/api/tasks").status_code == 200
    ApiKey.objects.update(revoked_at="2026-01-01T00:00:00Z")
    assert "is revoked" in read_refusal(reader)


def test_a_key_expires_after_90_days() -> None:
    client = make_key(None)
    key = ApiKey.objects.get()
    assert timedelta(days=89) < key.expires_at - timezone.now() <= timedelta(days=90)
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert "expired on" in read_refusal(client)


def test_the_expiry_of_a_key_can_be_set() -> None:
    make_key(None, days=7)
    assert ApiKey.objects.get().expires_at - timezone.now() <= timedelta(days=7)
    for days in (0, -1, 10_000):
        with pytest.raises(InvalidInput, match="1 to 3,650 days"):
            create_api_key(name="other", scope="read", by=command_line("tests"), origin="cli", days=days)


@pytest.mark.parametrize("end", ["deactivate", "no longer staff", "delete"])
def test_a_key_ends_with_its_owner(end: str) -> None:
    owner = make_user("ann", *OPERATING)
    client = make_key(owner)
    assert client.get("/api/tasks").status_code == 200
    if end == "delete":
        owner.delete()
    else:
        User.objects.update(**({"is_active": False} if end == "deactivate" else {"is_staff": False}))
    assert "is no longer valid: its owner" in read_refusal(client)
    assert ApiKey.objects.count() == 1, "the audit log names it"


def test_a_key_loses_at_once_what_its_owner_loses() -> None:
    owner = make_user("ann", *OPERATING)
    client = make_key(owner)
    assert client.post("/api/training/start").status_code == 200
    owner.user_permissions.clear()
    assert client.post("/api/training/start").status_code == 403
    assert client.get("/api/tasks").status_code == 200


@pytest.mark.parametrize("scope", ["operate", "admin"])
def test_a_user_cannot_make_a_key_with_more_permissions_than_their_own(scope: str) -> None:
    for permissions in ((MAKE,), (MAKE, "training.ask"), (MAKE, *sorted(OPERATING)[1:])):
        with pytest.raises(Forbidden, match=f"may not make a key of scope {scope}"):
            create_api_key(name="mine", scope=scope, by=Actor("eve", frozenset(permissions)), origin="admin")
    assert not ApiKey.objects.exists()


def test_a_user_with_all_operating_permissions_makes_operate_keys_but_no_admin_keys() -> None:
    owner = make_user("ann", MAKE, *OPERATING)
    by = read_user(owner)
    key, _ = create_api_key(name="mine", scope="operate", by=by, origin="admin", owner=owner)
    assert (key.owner, key.ownerless) == (owner, False)
    with pytest.raises(Forbidden, match="only a superuser may"):
        create_api_key(name="more", scope="admin", by=by, origin="admin", owner=owner)


def test_admin_makes_no_key_with_a_scope_above_the_users_own() -> None:
    user = make_user("eve", MAKE)
    client = Client()
    client.force_login(user)
    page = client.get("/admin/lealife/apikey/add/").content.decode()
    assert 'value="read"' in page
    assert 'value="operate"' not in page
    assert 'value="admin"' not in page
    for scope in ("admin", "operate"):
        client.post("/admin/lealife/apikey/add/", {"name": "mine", "scope": scope, "days": "30"})
    assert not ApiKey.objects.exists()
    client.post("/admin/lealife/apikey/add/", {"name": "mine", "scope": "read", "days": "30"})
    assert ApiKey.objects.get().owner == user


def test_only_the_command_line_makes_a_key_without_an_owner() -> None:
    with pytest.raises(InvalidInput, match="A key needs an owner"):
        create_api_key(name="mine", scope="read", by=command_line("x"), origin="admin")
    key, _ = create_api_key(name="cases", scope="admin", by=command_line("cases"), origin="cli")
    assert (key.owner, key.ownerless, key.created_by) == (None, True, "cases")
    with pytest.raises(TypeError):
        create_api_key(name="other", scope="read", by="cases", origin="api")


def test_a_key_of_the_command_line_belongs_to_the_first_superuser() -> None:
    make_user("staff")
    root = User.objects.create_superuser("root")
    User.objects.create_superuser("second")
    key, _ = create_api_key(name="cron", scope="admin", by=command_line("root"), origin="cli")
    assert (key.owner, key.ownerless) == (root, False)
    assert AuditEntry.objects.get(action="create api key").details["owner"] == "root"


@pytest.fixture
def one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong keys are counted by the minute: none ends during the test."""
    moment = timezone.now()
    monkeypatch.setattr(auth, "timezone", SimpleNamespace(now=lambda: moment))


@pytest.mark.usefixtures("one_minute")
def test_wrong_keys_are_refused_in_number_before_they_are_looked_at_further() -> None:
    wrong = [Client(headers={"Authorization": f"Bearer lea_{number}"}) for number in range(WRONG_KEYS + 3)]
    answers = [client.get("/api/tasks") for client in wrong]
    assert [answer.status_code for answer in answers] == [401] * WRONG_KEYS + [429] * 3
    assert 1 <= int(answers[-1]["Retry-After"]) <= 61
    assert answers[-1]["Content-Type"] == "application/problem+json"
    elsewhere = Client(headers={"Authorization": "Bearer lea_x"}, REMOTE_ADDR="203.0.113.9")
    assert elsewhere.get("/api/tasks").status_code == 401


@pytest.mark.usefixtures("one_minute")
def test_wrong_keys_are_counted_for_all_processes_together() -> None:
    for number in range(WRONG_KEYS):
        cache.clear()  # each process has a cache of its own
        assert Client(headers={"Authorization": f"Bearer lea_{number}"}).get("/api/tasks").status_code == 401
    cache.clear()
    assert Client(headers={"Authorization": "Bearer lea_x"}).get("/api/tasks").status_code == 429
    assert WrongKeys.objects.get().count == WRONG_KEYS


@pytest.mark.usefixtures("one_minute")
def test_an_expired_key_that_is_tried_again_and_again_is_limited_too(reader: Client) -> None:
    ApiKey.objects.update(revoked_at="2026-01-01T00:00:00Z")
    assert {reader.get("/api/tasks").status_code for _ in range(WRONG_KEYS + 1)} == {401, 429}


def test_a_good_key_is_not_held_up_by_wrong_ones_from_the_same_address(reader: Client) -> None:
    for number in range(WRONG_KEYS + 1):
        Client(headers={"Authorization": f"Bearer lea_{number}"}).get("/api/tasks")
    assert reader.get("/api/tasks").status_code == 200


def test_a_wrong_key_never_falls_back_to_the_session(session_client: Callable[..., Client]) -> None:
    client = session_client(superuser=True)
    answer = client.get("/api/tasks", headers={"Authorization": "Bearer lea_wrong"})
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")
