"""What every test needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from lealife.core.announce import stop_announcing

# A million rounds make a password expensive to guess. The rounds stand in each hash, so that web processes that tests
# start can check it as well.
PBKDF2PasswordHasher.iterations = 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests that share something expensive stay in one of several test processes."""
    from tests.scheduling import Scheduling

    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the embedded model come first: at the end the last of their modules would keep one process busy alone.

    They use no database, so pytest-django's order does not concern them.
    """
    items.sort(key=lambda item: not item.nodeid.startswith("tests/embedded/"))


@pytest.fixture(scope="session", autouse=True)
def _quiet_announcer(django_db_setup: None) -> Iterator[None]:
    """The announcer's own connection is closed before the test database is dropped."""
    yield
    stop_announcing()


@pytest.fixture(scope="session", autouse=True)
def _flushed_tables(django_db_setup: None) -> None:
    """Tests that commit are followed by an emptying of all tables, which the guards of evidence would refuse."""
    # Here, because it reads the product's settings.
    from tests.guards import allow_flush

    allow_flush()
