"""What every test needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lealife.lib.announce import stop_announcing


@pytest.fixture(scope="session", autouse=True)
def _quiet_announcer(django_db_setup: None) -> Iterator[None]:
    """The announcer's own connection is closed before the test database is dropped."""
    yield
    stop_announcing()
