"""The http engine against real servers on loopback."""

from __future__ import annotations

import gzip
import socket
import time
import zlib
from http.server import BaseHTTPRequestHandler

import pytest

from tests.training.agent.sites import GARDEN, HTML, Stub, packed, serve
from training.agent.errors import AgentError, ErrorCode
from training.agent.task import Site
from training.agent.web.browser import USER_AGENT
from training.agent.web.exchange import Caps
from training.agent.web.http_browser import HttpBrowser


def failure(browser: HttpBrowser, url: str) -> ErrorCode:
    with pytest.raises(AgentError) as caught:
        browser.fetch(url)
    return caught.value.code


def redirect(to: str, status: int = 302) -> Stub:
    return Stub(status=status, headers={"Location": to})


def test_a_page_has_its_digest_and_the_request_has_our_user_agent() -> None:
    with serve(GARDEN) as stub, HttpBrowser(site=stub.site()) as browser:
        page = browser.fetch(stub.url + "roses.html#water")
        assert (page.status, page.media_type, page.body) == (200, HTML, GARDEN["/roses.html"])
        assert len(page.digest) == 64
        assert page.final_url == stub.url + "roses.html"
        assert set(stub.agents) == {USER_AGENT}


def test_a_missing_page_is_a_page_with_its_status() -> None:
    with serve(GARDEN) as stub, HttpBrowser(site=stub.site()) as browser:
        assert browser.fetch(stub.url + "none.html").status == 404


def test_redirects_within_the_site_are_followed() -> None:
    pages = {"/": redirect("/a/"), "/a/": redirect("b.html", 308), "/a/b.html": b"<p>here</p>"}
    with serve(pages) as stub, HttpBrowser(site=stub.site()) as browser:
        page = browser.fetch(stub.url)
        assert (page.url, page.final_url) == (stub.url, stub.url + "a/b.html")


@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.1:1/", "http://169.254.169.254/latest", "//localhost/", "file:///etc/passwd", "data:,x"],
)
def test_a_redirect_to_another_host_is_refused(target: str) -> None:
    with serve({"/": redirect(target)}) as stub, HttpBrowser(site=stub.site()) as browser:
        assert failure(browser, stub.url) == ErrorCode.BLOCKED_BY_POLICY


def test_a_redirect_to_an_alias_is_followed() -> None:
    with serve({"/": b"<p>the mirror</p>"}) as mirror, serve({"/": redirect(mirror.url)}) as stub:
        alias = mirror.url.removeprefix("http://").rstrip("/")
        with HttpBrowser(site=stub.site(aliases=(alias,))) as browser:
            assert browser.fetch(stub.url).final_url == mirror.url


def test_a_redirect_to_another_name_says_how_to_allow_it() -> None:
    advice = r"If www\.garden\.example:80 is another name .* add it .* as an alias"
    with (
        serve({"/": redirect("http://www.garden.example/")}) as stub,
        HttpBrowser(site=stub.site()) as browser,
        pytest.raises(AgentError, match=advice),
    ):
        browser.fetch(stub.url)


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest", "http://[fd00:ec2::254]/", "http://100.100.100.200/"]
)
def test_no_alias_is_advised_that_would_be_refused_as_well(target: str) -> None:
    with serve({"/": redirect(target)}) as stub, HttpBrowser(site=stub.site()) as browser:
        with pytest.raises(AgentError) as caught:
            browser.fetch(stub.url)
        assert "alias" not in caught.value.message


def test_an_error_of_another_type_is_a_page_with_its_status() -> None:
    gone = Stub(b'{"error": "gone"}', status=410, media_type="application/json")
    with serve({"/": gone}) as stub, HttpBrowser(site=stub.site()) as browser:
        page = browser.fetch(stub.url)
        assert (page.status, page.body) == (410, b"")


def test_a_host_that_stays_below_its_path_leaves_it_by_no_redirect() -> None:
    pages = {"/docs/": b"<p>docs</p>", "/docs/cart": redirect("/shop/cart"), "/shop/cart": b"<p>cart</p>"}
    with serve(pages) as stub:
        site = stub.site(base_url=f"{stub.url}docs/", stay_below_base_path=True)
        with HttpBrowser(site=site) as browser:
            assert browser.fetch(f"{stub.url}docs/").status == 200
            with pytest.raises(AgentError, match="stay below that path"):
                browser.fetch(f"{stub.url}docs/cart")
            # A script or a style of the page may lie elsewhere on the site.
            assert browser.fetch_part(f"{stub.url}shop/cart").status == 200
        assert "/shop/cart" not in stub.asked[:-1]


def test_a_redirect_loop_ends() -> None:
    with serve({"/": redirect("/a"), "/a": redirect("/")}) as stub, HttpBrowser(site=stub.site()) as browser:
        assert failure(browser, stub.url) == ErrorCode.REDIRECT_LOOP


def test_redirects_without_end_end() -> None:
    pages = {f"/{n}": redirect(f"/{n + 1}") for n in range(20)}
    with serve(pages) as stub, HttpBrowser(site=stub.site()) as browser:
        assert failure(browser, stub.url + "0") == ErrorCode.REDIRECT_LOOP
        assert len(stub.asked) <= 7


def test_a_page_comes_with_what_its_headers_say_of_reading_it() -> None:
    said = Stub(b"x", media_type="Text/HTML;charset=Shift_JIS", headers={"X-Robots-Tag": "noindex"})
    with serve({"/": said}) as stub, HttpBrowser(site=stub.site()) as browser:
        assert browser.fetch(stub.url).media_type == "text/html; charset=shift_jis; robots=noindex"


@pytest.mark.parametrize("media_type", ["image/png", "application/pdf", "application/json"])
def test_what_is_no_page_is_refused_unread(media_type: str) -> None:
    stub_page = Stub(b"x" * 100, media_type=media_type)
    with serve({"/": stub_page}) as stub, HttpBrowser(site=stub.site()) as browser:
        assert failure(browser, stub.url) == ErrorCode.NOT_HTML


def test_a_10_mb_page_is_refused_soon() -> None:
    def flood(handler: BaseHTTPRequestHandler) -> None:
        try:
            for _ in range(160):
                handler.wfile.write(b"x" * 65_536)
        except OSError:
            return

    with serve({"/": Stub(send=flood)}) as stub, HttpBrowser(site=stub.site()) as browser:
        assert failure(browser, stub.url) == ErrorCode.TOO_LARGE


def test_a_packed_page_is_unpacked() -> None:
    pages = {
        "/g": packed(b"<p>gzip</p>"),
        "/d": Stub(zlib.compress(b"d"), headers={"Content-Encoding": "deflate"}),
    }
    with serve(pages) as stub, HttpBrowser(site=stub.site()) as browser:
        assert browser.fetch(stub.url + "g").body == b"<p>gzip</p>"
        assert browser.fetch(stub.url + "d").body == b"d"


def test_a_packed_bomb_is_refused_by_its_ratio_and_its_size() -> None:
    pages = {"/": packed(b"0" * 7_000_000), "/big": packed(b"0" * 50_000_000)}
    with serve(pages) as stub:
        with HttpBrowser(site=stub.site()) as browser:
            assert failure(browser, stub.url) == ErrorCode.TOO_LARGE
        with HttpBrowser(site=stub.site(), caps=Caps(ratio=100_000)) as browser:
            assert failure(browser, stub.url + "big") == ErrorCode.TOO_LARGE


def test_a_broken_packing_is_a_failed_fetch() -> None:
    half = gzip.compress(b"text " * 100)[4:]
    pages = {
        "/": Stub(half, headers={"Content-Encoding": "gzip"}),
        "/br": Stub(b"x", headers={"Content-Encoding": "br"}),
    }
    with serve(pages) as stub, HttpBrowser(site=stub.site()) as browser:
        assert failure(browser, stub.url) == ErrorCode.FETCH_FAILED
        assert failure(browser, stub.url + "br") == ErrorCode.FETCH_FAILED


def test_too_many_headers_are_refused() -> None:
    long = Stub(b"x", headers={f"X-{n}": "y" * 2000 for n in range(40)})
    with serve({"/": long}) as stub, HttpBrowser(site=stub.site()) as browser:
        assert failure(browser, stub.url) == ErrorCode.TOO_LARGE


def test_a_server_that_drips_is_left_in_time() -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        try:
            for _ in range(40):
                handler.wfile.write(b"x")
                handler.wfile.flush()
                time.sleep(0.05)
        except OSError:
            return

    with (
        serve({"/": Stub(send=drip)}) as stub,
        HttpBrowser(site=stub.site(), caps=Caps(seconds=0.4)) as browser,
    ):
        started = time.monotonic()
        assert failure(browser, stub.url) == ErrorCode.TIMEOUT
        assert time.monotonic() - started < 1.5


def test_an_unreachable_site_is_a_failed_fetch() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    site = Site("gone", f"http://127.0.0.1:{port}/", may_be_private=True)
    with HttpBrowser(site=site) as browser:
        assert failure(browser, site.base_url) == ErrorCode.FETCH_FAILED


def test_robots_txt_is_obeyed_and_read_once() -> None:
    robots = Stub(b"User-agent: *\nDisallow: /private\nAllow: /private/open", media_type="text/plain")
    pages = {"/robots.txt": robots, "/private/x": b"no", "/private/open": b"<p>yes</p>", "/": b"<p>yes</p>"}
    with serve(pages) as stub, HttpBrowser(site=stub.site()) as browser:
        assert failure(browser, stub.url + "private/x") == ErrorCode.BLOCKED_BY_POLICY
        assert browser.fetch(stub.url + "private/open").status == 200
        assert browser.fetch(stub.url).status == 200
        assert stub.asked == ["/robots.txt", "/private/open", "/"]


def test_our_own_group_of_robots_txt_counts() -> None:
    robots = Stub(b"User-agent: *\nAllow: /\n\nUser-agent: LeaLife\nDisallow: /", media_type="text/plain")
    with serve({"/robots.txt": robots, "/": b"x"}) as stub, HttpBrowser(site=stub.site()) as browser:
        assert failure(browser, stub.url) == ErrorCode.BLOCKED_BY_POLICY


@pytest.mark.parametrize(("status", "is_allowed"), [(404, True), (403, True), (200, True), (500, False), (503, False)])
def test_a_missing_robots_txt_allows_and_a_broken_one_forbids(status: int, is_allowed: bool) -> None:
    pages = {"/robots.txt": Stub(b"<p>no rules</p>", status=status), "/": b"<p>page</p>"}
    with serve(pages) as stub, HttpBrowser(site=stub.site()) as browser:
        if is_allowed:
            assert browser.fetch(stub.url).status == 200
        else:
            assert failure(browser, stub.url) == ErrorCode.FETCH_FAILED


def test_requests_keep_the_politeness_delay() -> None:
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(round(seconds, 3))
        now[0] += seconds

    with (
        serve(GARDEN) as stub,
        HttpBrowser(site=stub.site(politeness_delay_s=2.0), sleep=sleep, clock=lambda: now[0]) as browser,
    ):
        browser.fetch(stub.url)
        now[0] += 0.5
        browser.fetch(stub.url + "roses.html")
    assert slept == [2.0, 1.5]


def test_a_longer_crawl_delay_is_kept() -> None:
    slept: list[float] = []
    pages = {**GARDEN, "/robots.txt": Stub(b"User-agent: *\nCrawl-delay: 3", media_type="text/plain")}
    with (
        serve(pages) as stub,
        HttpBrowser(site=stub.site(), sleep=slept.append, clock=lambda: 0.0) as browser,
    ):
        browser.fetch(stub.url)
    assert slept == [3.0]
