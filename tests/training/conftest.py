"""Hosts to train on, and a clock of one's own."""

from __future__ import annotations

from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection

from lealife.core import announce
from tests.factories import begin_claimed, make_host, make_source
from training.models import Host, Run, RuntimeSettings
from training.runtime_settings import read_settings


@pytest.fixture
def host(db: None) -> Host:
    """An enabled host."""
    return make_host()


@pytest.fixture
def settle(db: None) -> Callable[..., RuntimeSettings]:
    """Sets runtime settings past their checks, as a test needs them."""

    def change(**values: Any) -> RuntimeSettings:
        read_settings()
        RuntimeSettings.objects.update(**values)
        return read_settings()

    return change


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Topics announced, kept here and not sent: the announcer's own connection would outlive the database."""
    topics: list[str] = []
    monkeypatch.setattr(announce._announcer, "add", topics.append)
    return topics


@pytest.fixture
def race(transactional_db: None, silent: list[str]) -> Callable[..., list[Any]]:
    """Runs functions at the same moment, each on a connection of its own; returns their results or errors."""

    def run(*functions: Callable[[], Any]) -> list[Any]:
        results: list[Any] = [None] * len(functions)
        barrier = Barrier(len(functions))

        def call(place: int, function: Callable[[], Any]) -> None:
            try:
                barrier.wait(timeout=10)
                results[place] = function()
            except Exception as error:  # noqa: BLE001  the test judges it
                results[place] = error
            finally:
                connection.close()

        threads = [Thread(target=call, args=pair, daemon=True) for pair in enumerate(functions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
            assert not thread.is_alive(), "a racing thread hangs"
        return results

    return run


@pytest.fixture
def run(host: Host) -> Run:
    """A begun training run."""
    make_source(host)
    return begin_claimed()
