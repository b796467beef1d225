"""The check of a site says in plain words what it found and what to do."""

from __future__ import annotations

import re

import pytest

from lealife.site_check import check_site
from tests.factories import make_host
from tests.training.agent.sites import GARDEN, Stub, serve
from training.models import HostTurn, RuntimeSettings
from training.runtime_settings import read_settings

pytestmark = pytest.mark.django_db
SHELL = b'<title>App</title><div id=root></div><script src="m.js"></script>'


def test_a_site_that_can_be_read_is_asked_for_its_rules_and_its_start_page_in_its_turn() -> None:
    with serve(GARDEN) as stub:
        finding = check_site(make_host(base_url=stub.url))
        assert stub.asked == ["/robots.txt", "/"]
    assert finding.is_good
    assert finding.words == f"{stub.url} answers, robots.txt allows it, and it can be read."
    assert HostTurn.objects.count() == 1


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ({**GARDEN, "/robots.txt": b"User-agent: *\nDisallow: /"}, "robots.txt forbids .*ask the site’s owner"),
        ({}, "answers with HTTP status 404. Look at the base URL"),
        ({"/": Stub(b"\x89PNG", media_type="image/png")}, "is image/png, not a page. Name a page as the base URL."),
        ({"/": Stub(b"", media_type="text/html")}, "empty page. Name another page as the base URL."),
        (
            {"/": Stub(status=302, headers={"Location": "http://www.elsewhere.example:81/"})},
            "leads to http://www.elsewhere.example:81/.*add it to the host as an alias",
        ),
    ],
    ids=["robots", "missing", "picture", "empty", "elsewhere"],
)
def test_what_keeps_a_site_from_being_read_is_said_with_what_to_do(pages: dict[str, bytes], words: str) -> None:
    with serve(pages) as stub:
        finding = check_site(make_host(base_url=stub.url))
    assert not finding.is_good
    assert_says(finding.words, words)


def test_a_site_that_does_not_answer_may_be_away() -> None:
    finding = check_site(make_host(base_url="http://127.0.0.1:9/"))
    assert_says(finding.words, "refused the connection.*check again when the site is back")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("127.0.0.1", "If the site is in your own network, tick “May be private”."),
        ("localhost", "If this host is meant to be in a private network, allow that in admin."),
    ],
)
def test_a_private_address_is_not_asked_before_it_is_allowed(name: str, words: str) -> None:
    with serve(GARDEN) as stub:
        address = stub.url.replace("127.0.0.1", name)
        finding = check_site(make_host(base_url=address, may_be_private=False))
        assert stub.asked == []
    assert finding.words.endswith(words)


def test_another_address_of_the_site_is_proposed_as_the_base_url() -> None:
    with serve({**GARDEN, "/": Stub(status=302, headers={"Location": "/trees.html"})}) as stub:
        finding = check_site(make_host(base_url=stub.url))
    assert finding.is_good
    assert finding.words == f"{stub.url} leads on to {stub.url}trees.html. Make that the base URL: it saves a request."


def test_a_page_that_needs_its_scripts_asks_for_the_engine_that_runs_them() -> None:
    with serve({"/": SHELL}) as stub:
        finding = check_site(make_host(base_url=stub.url))
    assert not finding.is_good
    assert_says(finding.words, "almost no text.*“chromium” runs them.*Choose it in the runtime settings")


def test_a_page_that_needs_its_scripts_is_well_where_the_engine_runs_them() -> None:
    read_settings()
    RuntimeSettings.objects.update(browser_engine="chromium")
    with serve({"/": SHELL}) as stub:
        finding = check_site(make_host(base_url=stub.url))
    assert finding.is_good
    assert_says(finding.words, "the engine that is set runs them")


def assert_says(words: str, pattern: str) -> None:
    assert re.search(pattern, words), words
