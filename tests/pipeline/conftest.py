"""A stub site, the real embedded model and a real queue: what the pipeline's tests run with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.conf import settings as project

from lealife.pipeline import draining
from lealife.pipeline.pool import get_pool
from promotion.tags import ensure_base_tags
from tests.embedded.ollama_process import RunningOllama, run_ollama
from tests.pipeline.scenes import build_garden
from tests.training.agent.sites import Stub, StubSite, serve
from training.models import Host, RuntimeSettings
from training.runtime_settings import read_settings


@pytest.fixture(scope="session")
def shared_ollama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningOllama]:
    """The embedded server with its real model, started once."""
    with run_ollama(tmp_path_factory.mktemp("ollama")) as running:
        yield running


@pytest.fixture
def ollama(shared_ollama: RunningOllama, settings: LazySettings, transactional_db: None) -> RunningOllama:
    """The shared server as the one this installation uses, with the first tags made on it."""
    settings.OLLAMA_HOST = shared_ollama.address
    ensure_base_tags(server=get_pool(), base=project.LEALIFE_BASE_MODEL)
    return shared_ollama


@pytest.fixture
def own_ollama(tmp_path: Path, settings: LazySettings, transactional_db: None) -> Iterator[RunningOllama]:
    """A server of the test's own, which it may end."""
    with run_ollama(tmp_path / "ollama") as running:
        settings.OLLAMA_HOST = running.address
        ensure_base_tags(server=get_pool(), base=project.LEALIFE_BASE_MODEL)
        yield running


@pytest.fixture
def pages() -> dict[str, Stub | bytes]:
    """What the stub site answers; a test may change it while the site runs."""
    return build_garden()


@pytest.fixture
def site(pages: dict[str, Stub | bytes]) -> Iterator[StubSite]:
    with serve(pages) as running:
        yield running


@pytest.fixture
def host(transactional_db: None, site: StubSite) -> Host:
    read_settings()
    RuntimeSettings.objects.update(default_pages_target=1)
    return Host.objects.create(name="garden", base_url=site.url, may_be_private=True, politeness_delay_ms=0)


@pytest.fixture
def _may_drain() -> Iterator[None]:
    """Whatever the test told this process to stop, the next test works again."""
    yield
    draining._draining.value = 0
