"""The stub site and the stand-in servers that tests of promotion share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.promotion.scenes import Servers, build_pages, make_host
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
