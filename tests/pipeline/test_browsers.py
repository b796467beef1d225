"""The browser that a run gets: the host's turns, the operator's contact, the run's deadline."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from lealife.core.environment import read_contact
from lealife.pipeline import browsers
from lealife.pipeline.browsers import open_browser
from lealife.pipeline.stages import STAGES
from tests.factories import make_host
from tests.training.agent.sites import GARDEN, Stub, serve
from training.agent.errors import AgentError
from training.agent.web.browser import name_user_agent
from training.agent.web.chromium_browser import find_chromium
from training.agent.web.http_browser import HttpBrowser
from training.models import HostTurn, RuntimeSettings
from training.runtime_settings import read_settings
from training.turns import HostPace

pytestmark = pytest.mark.django_db


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits of every browser, which are not waited for."""
    waits: list[float] = []
    monkeypatch.setattr(browsers, "HttpBrowser", partial(HttpBrowser, sleep=waits.append))
    return waits


def test_two_runs_of_a_host_share_its_turns(slept: list[float]) -> None:
    with serve(GARDEN) as stub:
        host = make_host(base_url=stub.url, politeness_delay_ms=3_000)
        with open_browser(host) as first, open_browser(host) as second:
            first.fetch(stub.url)
            second.fetch(stub.url)
    # robots.txt and the page of the first, then those of the second: nobody really slept between them.
    assert [round(wait) for wait in slept] == [3, 6, 9]


def test_a_host_that_asked_for_a_long_rest_is_left_alone_by_the_next_run(slept: list[float]) -> None:
    busy = Stub(b"busy", status=503, headers={"Retry-After": "600"})
    with serve({"/": busy}) as stub:
        host = make_host(base_url=stub.url)
        for _ in range(2):
            with open_browser(host) as browser, pytest.raises(AgentError, match="asks for a pause"):
                browser.fetch(stub.url)
        assert stub.asked == ["/robots.txt", "/"]
    assert slept == []


def test_the_crawl_waits_for_a_busy_host_no_longer_than_a_run(slept: list[float]) -> None:
    with serve(GARDEN) as stub:
        host = make_host(base_url=stub.url, seed_curriculum=True)
        HostPace.of(host).postpone(seconds=200)
        STAGES["read"].work(timezone.now())
    assert (slept, stub.asked) == ([], [])


def test_the_operators_contact_is_named_to_every_site(settings: Any) -> None:
    settings.LEALIFE_CONTACT = "https://example.org/bot"
    with serve(GARDEN) as stub, open_browser(make_host(base_url=stub.url)) as browser:
        browser.fetch(stub.url)
        assert set(stub.agents) == {"LeaLife/0.1 (+https://example.org/bot)"}
    assert HostTurn.objects.count() == 1


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed")
def test_the_database_can_be_asked_while_chromium_is_open() -> None:
    read_settings()
    RuntimeSettings.objects.update(browser_engine="chromium")
    pages = {"/": b'<script>location = "/roses.html"</script>', "/roses.html": GARDEN["/roses.html"]}
    with serve(pages) as stub, open_browser(make_host(base_url=stub.url, politeness_delay_ms=100)) as browser:
        assert b"Roses are pruned" in browser.fetch(stub.url).body
        assert HostTurn.objects.count() == 1


def test_a_mail_address_is_a_contact_too() -> None:
    assert name_user_agent("bot@example.org") == "LeaLife/0.1 (bot@example.org)"
    assert name_user_agent("") == "LeaLife/0.1"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "ä@example.org", "(comment)", "<b>", "x" * 201])
def test_a_contact_that_cannot_stand_in_a_header_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEALIFE_CONTACT", value)
    with pytest.raises(ImproperlyConfigured, match="LEALIFE_CONTACT"):
        read_contact("LEALIFE_CONTACT")
