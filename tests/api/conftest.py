"""Callers of the API: keys of each scope, staff with a session, and a host to ask about."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.middleware.csrf import _get_new_csrf_string
from django.test import Client

from lealife.core.actors import command_line
from lealife.keys import create_api_key
from training.models import Host

Call = Callable[..., object]


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


@pytest.fixture
def host(db: None) -> Host:
    """An enabled host; no test fetches anything from it."""
    return Host.objects.create(name="manual", base_url="http://127.0.0.1:9/", may_be_private=True)


@pytest.fixture
def key_client(db: None) -> Callable[[str], Client]:
    """Makes a client with a bearer key of the given scope."""

    def make(scope: str) -> Client:
        _, secret = create_api_key(name=f"test {scope}", scope=scope, by=command_line("tests"), origin="cli")
        return Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {secret}"})

    return make


@pytest.fixture
def session_client(db: None) -> Callable[..., Client]:
    """Makes a client that is signed in, with its CSRF token or without."""

    def make(*, csrf: bool = True, staff: bool = True, superuser: bool = False) -> Client:
        user = User.objects.create_user(
            f"user-{User.objects.count()}", is_staff=staff or superuser, is_superuser=superuser
        )
        token = _get_new_csrf_string()
        client = Client(enforce_csrf_checks=True, headers={"X-CSRFToken": token} if csrf else None)
        client.force_login(user)
        client.cookies["csrftoken"] = token
        return client

    return make


@pytest.fixture
def reader(key_client: Callable[[str], Client]) -> Client:
    """A key that may read."""
    return key_client("read")


@pytest.fixture
def operator(key_client: Callable[[str], Client]) -> Client:
    """A key that may operate."""
    return key_client("operate")


@pytest.fixture
def administrator(key_client: Callable[[str], Client]) -> Client:
    """A key that may do all."""
    return key_client("admin")
