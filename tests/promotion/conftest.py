"""The stub site and the stand-in servers that tests of promotion share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client
from hypothesis import settings

from lealife.core.gateway import OllamaPool
from promotion.models import LiveApply
from promotion.tags import ensure_base_tags
from tests.embedded.ollama_process import BASE, run_ollama
from tests.promotion.reserves import TASKS, apply_next
from tests.promotion.scenes import Servers, build_pages, change_settings, make_host, make_tasks
from tests.training.agent.sites import StubSite, serve
from training.models import Host

PAGES = 14

# A busy machine is slow now and then: that is no failure of what is tested.
settings.register_profile("lealife", deadline=None)
settings.load_profile("lealife")


@pytest.fixture
def pages() -> dict[str, bytes]:
    """What the stub site answers; a test may change it while the site runs."""
    return build_pages(PAGES)


@pytest.fixture
def site(pages: dict[str, bytes]) -> Iterator[StubSite]:
    with serve(pages) as running:
        yield running


@pytest.fixture
def host(db: None, site: StubSite) -> Host:
    return make_host(site)


@pytest.fixture
def servers() -> Servers:
    return Servers()


@pytest.fixture
def apply(host: Host, servers: Servers) -> LiveApply:
    """A candidate that was applied live, with reserve tasks to measure it on."""
    make_tasks(host, TASKS, split="reserve")
    change_settings(controller_max_calls=1, default_pages_target=2)
    return apply_next(servers)


@pytest.fixture
def browser(db: None) -> Client:
    """Signed in as a superuser."""
    client = Client()
    client.force_login(User.objects.create_superuser("ada", password="a long enough one"))
    return client


@pytest.fixture(scope="session")
def ollama_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The embedded server with its real model, started once."""
    with run_ollama(tmp_path_factory.mktemp("ollama")) as running:
        yield running.address


@pytest.fixture
def pool(db: None, ollama_address: str) -> Iterator[OllamaPool]:
    """The server with both first tags, as an installation begins."""
    pool = OllamaPool(hosts=[ollama_address])
    ensure_base_tags(server=pool, base=BASE)
    yield pool
    for tag in set(pool.list_tags()) - {BASE}:
        pool.delete_tag(tag=tag)
