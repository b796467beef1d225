"""What every test needs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import transaction
from pytest_django import DjangoDbBlocker

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


@pytest.fixture
def quiet_publisher(transactional_db: None) -> Iterator[None]:
    """No publisher thread outlives the test."""
    yield
    for thread in threading.enumerate():
        if thread.name == "publisher":
            thread.join(5.0)
            assert not thread.is_alive()


@pytest.fixture(scope="module")
def kept_rows(
    request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """What fixtures of a module write stays until its last test; what a test writes is rolled back as always.

    For modules whose tests all have the mark `django_db` and never commit.
    """
    tests = [item for item in request.session.items if item.getparent(pytest.Module) is request.node]
    assert [test.name for test in tests if test.get_closest_marker("django_db") is None] == []
    with django_db_blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)
