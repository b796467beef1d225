"""A caller for each column of the table, and rows to act on."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.db import transaction
from django.test import Client

from tests.admin.conftest import host, rows  # noqa: F401  fixtures
from tests.permissions.table import CALLERS, SUPERUSER, list_held


def make_user(name: str, *permissions: str, **changes: bool) -> User:
    """A member of staff with these permissions and no others."""
    user = User.objects.create_user(name, **{"is_staff": True, **changes})
    for permission in permissions:
        app, _, codename = permission.partition(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return user


def make_callers(callers: Collection[str]) -> dict[str, User]:
    """A user for each of these callers of the table."""
    permissions = Permission.objects.select_related("content_type")
    known = {f"{one.content_type.app_label}.{one.codename}": one for one in permissions}
    found = User.objects.bulk_create(
        User(username=f"only {caller}", password="!", is_staff=True, is_superuser=caller == SUPERUSER)
        for caller in callers
    )
    users = dict(zip(callers, found, strict=True))
    held = User.user_permissions.through
    held.objects.bulk_create(
        held(user=user, permission=known[permission])
        for caller, user in users.items()
        for permission in list_held(caller)
    )
    return users


@pytest.fixture
def cheap_requests(db: None, settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    """For many requests: signing in costs no queries, and the tracebacks of refusals are not written."""
    cache.clear()
    settings.AXES_ENABLED = False
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    caplog.set_level(logging.CRITICAL, "django.request")


@pytest.fixture
def users(cheap_requests: None) -> dict[str, User]:
    """One user for each caller of the table."""
    return make_callers(CALLERS)


def open_browser(user: User) -> Client:
    """This user's browser, signed in."""
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


@contextmanager
def undone() -> Iterator[None]:
    """Takes back what happens inside, so that every caller finds the same rows."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
