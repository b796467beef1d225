"""The chromium engine: what scripts make of a page, and where they send its reader."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.training.agent.sites import Stub, StubSite, serve
from training.agent.errors import AgentError, ErrorCode
from training.agent.reading.page import parse_page
from training.agent.web.browser import Page
from training.agent.web.chromium_browser import ChromiumBrowser, find_chromium

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed")


@dataclass
class Reader:
    """One Chromium before one stub site, whose pages each test sets. Its start is most of what such a test costs."""

    pages: dict[str, Stub | bytes]
    stub: StubSite
    browser: ChromiumBrowser

    @property
    def asked(self) -> list[str]:
        """The paths that were asked for; robots.txt is asked for once, by whichever test comes first."""
        return [path for path in self.stub.asked if path != "/robots.txt"]

    def fetch(self, path: str = "/") -> Page:
        return self.browser.fetch(f"{self.stub.url}{path[1:]}")


@pytest.fixture(scope="module")
def shared_reader() -> Iterator[Reader]:
    pages: dict[str, Stub | bytes] = {}
    with serve(pages) as stub, ChromiumBrowser(site=stub.site()) as browser:
        yield Reader(pages, stub, browser)


@pytest.fixture
def reader(shared_reader: Reader) -> Reader:
    """The Chromium, before an empty site."""
    shared_reader.pages.clear()
    shared_reader.stub.asked.clear()
    return shared_reader


def test_what_scripts_made_of_a_page_is_utf_8_whatever_the_page_declares(reader: Reader) -> None:
    body = "<meta charset=windows-1252><p>Caf\u00e9 \u2013 5 \u20ac</p><script>1</script>".encode("cp1252")
    reader.pages["/"] = Stub(body, media_type="text/html", headers={"X-Robots-Tag": "nofollow"})
    page = reader.fetch()
    parsed = parse_page(body=page.body, media_type=page.media_type, url=page.url, site=reader.stub.site())
    assert parsed.text == "Caf\u00e9 \u2013 5 \u20ac"
    assert (page.media_type, page.scripts_ran) == ("text/html; charset=utf-8; robots=nofollow", True)


def test_a_page_that_changes_what_scripts_stand_on_is_read(reader: Reader) -> None:
    reader.pages["/"] = b"<p>fine</p><script>window.eval = () => { throw 1 }; window.Set = null</script>"
    assert b"fine" in reader.fetch().body


TARGET = b"<title>t</title><p>The page that is meant.</p>"
FRONTS = [
    b'<script>location.replace("/en/")</script>',
    b'<p>wait</p><script>setTimeout(() => { location.href = "/en/" }, 200)</script>',
    b'<p>wait</p><script>addEventListener("load", () => location.assign("/en/"))</script>',
    b'<meta http-equiv="refresh" content="0; url=/en/">',
    b'<script>const m = document.createElement("meta"); m.httpEquiv = "refresh"; m.content = "0; url=/en/";'
    b"document.head.append(m)</script>",
    b'<a id=a href="/en/">on</a><script>document.getElementById("a").click()</script>',
]


@pytest.mark.parametrize("front", FRONTS)
def test_where_scripts_send_the_reader_on_is_read(reader: Reader, front: bytes) -> None:
    reader.pages.update({"/": front, "/en/": TARGET})
    page = reader.fetch()
    assert b"The page that is meant." in page.body
    assert (page.url, page.final_url) == (reader.stub.url, f"{reader.stub.url}en/")
    assert reader.asked == ["/", "/en/"]


def test_a_script_that_leads_off_the_site_is_refused_and_named(reader: Reader) -> None:
    with serve({"/": TARGET}) as other:
        reader.pages["/"] = f'<p>here</p><script>location = "{other.url}x"</script>'.encode()
        with pytest.raises(AgentError, match=r"leads to .*alias") as caught:
            reader.fetch()
        assert caught.value.code == ErrorCode.BLOCKED_BY_POLICY
        assert other.asked == []


def test_scripts_that_send_on_in_a_circle_are_left(reader: Reader) -> None:
    reader.pages.update({"/": b'<script>location = "/b"</script>', "/b": b'<script>location = "/"</script>'})
    with pytest.raises(AgentError) as caught:
        reader.fetch()
    assert caught.value.code == ErrorCode.REDIRECT_LOOP
    assert len(reader.asked) <= 6


def test_a_form_that_sends_itself_is_not_sent(reader: Reader) -> None:
    front = b'<form id=f method=post action="/en/"></form><p>the form</p><script>f.submit()</script>'
    reader.pages.update({"/": front, "/en/": TARGET})
    assert b"the form" in reader.fetch().body
    assert reader.asked == ["/"]


def test_popups_are_closed_and_lead_nowhere(reader: Reader) -> None:
    script = b"""<p>opener</p><a id=a target=_blank rel=noopener href="/c">c</a><script>
        for (let i = 0; i < 20; i++) window.open("/popup" + i);
        window.open("about:blank"); document.getElementById("a").click();</script>"""
    reader.pages.update({"/": script, "/next": TARGET})
    assert b"opener" in reader.fetch().body
    assert b"The page that is meant." in reader.fetch("/next").body
    assert reader.asked == ["/", "/next"]
    assert reader.browser._context.pages == []


def test_a_route_of_a_scripted_page_is_a_page_of_its_own(reader: Reader) -> None:
    reader.pages["/"] = b"""<main id="m"></main><script>
        const show = () => { m.textContent = location.hash === "#/orders" ? "the orders" : "the start" };
        addEventListener("hashchange", show); show();</script>"""
    assert b">the start<" in reader.fetch().body
    page = reader.fetch("/#/orders")
    assert b">the orders<" in page.body
    assert page.final_url == f"{reader.stub.url}#/orders"
