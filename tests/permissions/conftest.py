"""A caller for each column of the table, and rows to act on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.db import transaction
from django.test import Client

from tests.admin.conftest import host, rows  # noqa: F401  fixtures
from tests.permissions.table import CALLERS, SUPERUSER


def make_user(name: str, *permissions: str, **changes: bool) -> User:
    """A member of staff with these permissions and no others."""
    user = User.objects.create_user(name, **{"is_staff": True, **changes})
    for permission in permissions:
        app, _, codename = permission.partition(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return user


@pytest.fixture
def users(db: None, settings: Any, caplog: pytest.LogCaptureFixture) -> dict[str, User]:
    """One user for each caller of the table."""
    cache.clear()
    # Thousands of requests: signing in costs no queries here.
    settings.AXES_ENABLED = False
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    # Nor are the tracebacks of their refusals written.
    caplog.set_level(logging.CRITICAL, "django.request")
    permissions = Permission.objects.select_related("content_type")
    known = {f"{one.content_type.app_label}.{one.codename}": one for one in permissions}
    found = User.objects.bulk_create(
        User(username=f"only {caller}", password="!", is_staff=True, is_superuser=caller == SUPERUSER)
        for caller in CALLERS
    )
    held = User.user_permissions.through
    held.objects.bulk_create(
        held(user=user, permission=known[caller])
        for caller, user in zip(CALLERS, found, strict=True)
        if caller not in ("", SUPERUSER)
    )
    return dict(zip(CALLERS, found, strict=True))


@pytest.fixture
def clients(users: dict[str, User]) -> dict[str, Client]:
    """Each caller's browser, signed in."""
    found = {}
    for caller, user in users.items():
        found[caller] = Client(raise_request_exception=False)
        found[caller].force_login(user)
    return found


@contextmanager
def undone() -> Iterator[None]:
    """Takes back what happens inside, so that every caller finds the same rows."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
