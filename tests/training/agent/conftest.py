"""A site to read, and a watch on every connect: no test of the agent may reach beyond loopback."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.training.agent.sites import GARDEN, StubSite, serve


@pytest.fixture(autouse=True)
def connects(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The addresses connected to so far; a test that tries one outside of loopback fails."""
    tried: list[str] = []
    strays: list[str] = []
    real_connect, real_connect_ex = socket.socket.connect, socket.socket.connect_ex

    def watch(sock: socket.socket, address: Any) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            tried.append(str(address[0]))
            if not ipaddress.ip_address(address[0]).is_loopback:
                strays.append(str(address[0]))
                raise OSError(f"a test tried to reach {address[0]}")

    def connect(sock: socket.socket, address: Any) -> None:
        watch(sock, address)
        real_connect(sock, address)

    def connect_ex(sock: socket.socket, address: Any) -> int:
        watch(sock, address)
        return real_connect_ex(sock, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect_ex)
    yield tried
    assert strays == []


@pytest.fixture
def garden() -> Iterator[StubSite]:
    with serve(GARDEN) as stub:
        yield stub
