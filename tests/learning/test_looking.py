"""Looking again: pages that were read are asked for again, over real HTTP, and what they say now counts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from lealife.core.actors import command_line
from learning.curriculum.looking import find_rested_host, look_again, read_again
from learning.curriculum.seeding import LOOK_AGAIN, crawl_host, find_unread_host
from learning.models import CurriculumTask, FrontierPage, IndexedPassage
from tests.factories import START, make_host, make_html
from tests.learning.sites import SENTENCE
from tests.training.agent.sites import Stub, StubSite, serve
from training.agent.web.http_browser import HttpBrowser
from training.models import Host

BEFORE, AFTER = SENTENCE.format("old"), SENTENCE.format("new")
PAGES = {
    "/": Stub(make_html("Start", links=["/leaf"]), etag='"start"'),
    "/leaf": Stub(make_html("Leaf", BEFORE), etag='"one"'),
    "/robots.txt": Stub(status=404),
}
pytestmark = pytest.mark.django_db


@pytest.fixture
def pages() -> dict[str, Stub]:
    return dict(PAGES)


@pytest.fixture
def site(pages: dict[str, Stub]) -> Iterator[StubSite]:
    with serve(pages) as stub:
        yield stub


@pytest.fixture
def host(site: StubSite) -> Host:
    """A host that was read through at `START`."""
    host = make_host(base_url=site.url, may_be_private=True, politeness_delay_ms=0)
    assert find_unread_host(now=START) == host
    with HttpBrowser(site=host.as_site()) as browser:
        while crawl_host(host=host, browser=browser, now=START):
            pass
    site.answered.clear()
    return host


def look(host: Host, *, now: datetime) -> int:
    with HttpBrowser(site=host.as_site()) as browser:
        return look_again(host=host, browser=browser, now=now)


def leaf() -> FrontierPage:
    return FrontierPage.objects.get(url__endswith="/leaf")


def said() -> set[str]:
    return set(IndexedPassage.objects.filter(page__url__endswith="/leaf").values_list("text", flat=True))


def test_a_page_rests_before_it_is_looked_at_again(host):
    assert find_rested_host(now=START + LOOK_AGAIN - timedelta(seconds=1)) is None
    assert find_rested_host(now=START + LOOK_AGAIN) == host
    Host.objects.update(enabled=False)
    assert find_rested_host(now=START + LOOK_AGAIN) is None


def test_an_unchanged_page_costs_a_request_without_a_body_and_rests_twice_as_long(host, site):
    now = START + LOOK_AGAIN
    for unchanged in range(1, 7):
        assert look(host, now=now) == 2
        assert site.answered.count(304) == 2 and 200 not in site.answered
        site.answered.clear()
        assert leaf().unchanged == unchanged
        assert leaf().not_before - now == LOOK_AGAIN * 2 ** min(unchanged, 4)
        assert leaf().etag == '"one"'
        now = leaf().not_before


def test_a_page_whose_server_tells_no_version_is_compared_by_what_it_says(host, pages):
    pages["/leaf"] = Stub(make_html("Leaf", BEFORE))
    look(host, now=START + LOOK_AGAIN)
    assert (leaf().unchanged, leaf().etag) == (1, "")


def test_what_a_page_says_now_takes_the_place_of_what_it_said(host, pages):
    [task] = CurriculumTask.objects.filter(expected_url__endswith="/leaf", kind="says")
    pages["/leaf"] = Stub(make_html("Leaf", AFTER), etag='"two"')
    now = START + LOOK_AGAIN
    look(host, now=now)
    assert said() == {AFTER}
    task.refresh_from_db()
    assert task.gone_at is not None
    assert CurriculumTask.objects.asked().filter(passage=AFTER).exists()
    assert (leaf().state, leaf().unchanged, leaf().etag) == ("read", 0, '"two"')
    assert leaf().not_before == now + LOOK_AGAIN


def test_new_links_of_a_changed_page_are_read_too(host, pages):
    pages["/"] = Stub(make_html("Start", links=["/leaf", "/new"]), etag='"start 2"')
    pages["/new"] = Stub(make_html("New", AFTER))
    look(host, now=START + LOOK_AGAIN)
    assert FrontierPage.objects.get(url__endswith="/new").state == "known"
    assert find_unread_host(now=START + LOOK_AGAIN) == host


def test_a_page_that_is_missing_twice_is_forgotten(host, pages):
    del pages["/leaf"]
    now = START + LOOK_AGAIN
    look(host, now=now)
    assert (leaf().state, leaf().error_code) == ("read", "http_404")
    assert said() == {BEFORE}
    assert look(host, now=leaf().not_before) == 1
    assert leaf().state == "unreadable"
    assert not said()
    assert not CurriculumTask.objects.asked().filter(expected_url__endswith="/leaf").exists()


def test_one_missing_look_after_a_failure_takes_nothing_away(host, pages):
    now = START + LOOK_AGAIN
    for status in (503, 404, 503, 404):
        pages["/leaf"] = Stub(status=status)
        look(host, now=now)
        now = leaf().not_before
    assert (leaf().state, said()) == ("read", {BEFORE})


def test_pages_of_a_host_that_are_read_again_are_asked_for_whole(host, site, pages):
    read_again(host_ids=[host.pk], by=command_line("ada"), origin="cli")
    assert look(host, now=timezone.now()) == 2
    assert 304 not in site.answered


def test_a_page_that_is_gone_for_good_is_forgotten_at_once(host, pages):
    pages["/leaf"] = Stub(status=410)
    look(host, now=START + LOOK_AGAIN)
    assert leaf().state == "unreadable"
    assert not said()


@pytest.mark.parametrize("status", [500, 503, 403])
def test_a_server_in_trouble_takes_nothing_away(host, pages, status):
    pages["/leaf"] = Stub(status=status)
    now = START + LOOK_AGAIN
    for _ in range(3):
        look(host, now=now)
        now = leaf().not_before
    assert (leaf().state, said()) == ("read", {BEFORE})
    pages["/leaf"] = PAGES["/leaf"]
    look(host, now=now)
    assert (leaf().error_code, leaf().unchanged) == ("", 1)


def test_a_page_that_asks_not_to_be_kept_any_more_is_forgotten(host, pages):
    pages["/leaf"] = Stub(b'<meta name="robots" content="noindex">' + make_html("Leaf", BEFORE), etag='"two"')
    look(host, now=START + LOOK_AGAIN)
    assert not said()
    assert not CurriculumTask.objects.asked().filter(expected_url__endswith="/leaf").exists()
