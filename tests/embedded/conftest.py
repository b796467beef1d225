"""One embedded Ollama a module, and two ways to speak to it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import ollama
import pytest

from tests.embedded.ollama_process import RunningOllama, run_ollama


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningOllama]:
    with run_ollama(tmp_path_factory.mktemp("ollama"), "--max-queue", "2") as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningOllama) -> Iterator[ollama.Client]:
    with ollama.Client(host=server.address, timeout=60, trust_env=False) as session:
        yield session


@pytest.fixture(scope="module")
def http(server: RunningOllama) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, timeout=60, trust_env=False) as session:
        yield session
