"""Cookies of a run: back to the host that set them, and to no other."""

from __future__ import annotations

import httpx

from tests.training.agent.sites import Stub, serve
from training.agent.web.cookies import COOKIE_CHARS_MAX, COOKIES_MAX, open_jar
from training.agent.web.http_browser import HttpBrowser


def setting(*cookies: str, **changes: object) -> Stub:
    return Stub(b"<p>here</p>", headers=[("Set-Cookie", cookie) for cookie in cookies], **changes)  # type: ignore[arg-type]


def sent_to(url: str, *, after: list[tuple[str, str]]) -> str:
    """The Cookie header of a request to `url`, after answers of these addresses with their Set-Cookie."""
    cookies = open_jar()
    for address, cookie in after:
        request = httpx.Request("GET", address)
        cookies.extract_cookies(httpx.Response(200, headers=[("Set-Cookie", cookie)], request=request))
    request = httpx.Request("GET", url)
    cookies.set_cookie_header(request)
    return str(request.headers.get("cookie", ""))


def test_a_cookie_goes_back_to_its_host_within_the_run() -> None:
    with serve({"/": setting("lang=en; Path=/"), "/a": b"<p>a</p>"}) as stub:
        with HttpBrowser(site=stub.site()) as browser:
            browser.fetch(stub.url)
            browser.fetch(stub.url + "a")
        assert stub.cookies == ["", "", "lang=en"]
        with HttpBrowser(site=stub.site()) as another_run:
            another_run.fetch(stub.url + "a")
        assert stub.cookies[-1] == ""


def test_a_cookie_of_any_letters_is_sent_back_in_utf_8() -> None:
    with (
        serve({"/": setting("city=M\u00fcnchen"), "/a": b"<p>a</p>"}) as stub,
        HttpBrowser(site=stub.site()) as browser,
    ):
        browser.fetch(stub.url)
        browser.add_cookie(url=stub.url, name="user", value="J\u00f6rg")
        browser.fetch(stub.url + "a")
    # The stub reads headers as Latin-1.
    assert stub.cookies[-1].encode("latin-1").decode() == "city=M\u00fcnchen; user=J\u00f6rg"


def test_a_site_that_redirects_until_its_cookie_comes_back_is_read() -> None:
    def front() -> Stub:
        if "seen=1" in stub.cookies[-1]:
            return Stub(b"<p>welcome</p>")
        return Stub(status=302, headers={"Location": "/check"})

    check = Stub(status=302, headers={"Set-Cookie": "seen=1; Path=/", "Location": "/"})
    with serve({"/": front, "/check": check}) as stub, HttpBrowser(site=stub.site()) as browser:
        assert browser.fetch(stub.url).body == b"<p>welcome</p>"


def test_a_cookie_of_an_alias_stays_with_the_alias() -> None:
    with serve({"/": b"<p>mine</p>"}) as stub:
        other = stub.url.replace("127.0.0.1", "localhost")
        with HttpBrowser(site=stub.site(aliases=("localhost",))) as browser:
            browser.add_cookie(url=other, name="secret", value="1")
            browser.fetch(stub.url)
            assert stub.cookies[-1] == ""
            browser.fetch(other)
            assert stub.cookies[-1] == "secret=1"


def test_a_cookie_without_a_domain_is_its_hosts_alone() -> None:
    after = [("http://example.org/", "a=1")]
    assert sent_to("http://example.org/x", after=after) == "a=1"
    assert sent_to("http://www.example.org/", after=after) == ""
    assert sent_to("http://notexample.org/", after=after) == ""


def test_a_domain_covers_its_subdomains_and_nothing_else() -> None:
    after = [("http://www.example.org/", "a=1; Domain=example.org")]
    assert sent_to("http://docs.example.org/", after=after) == "a=1"
    assert sent_to("http://example.org.evil.example/", after=after) == ""
    assert sent_to("http://evilexample.org/", after=after) == ""


def test_no_host_sets_a_cookie_for_another() -> None:
    for domain in ("bank.example", "example", "evil.example.com", ".0.0.1", "com"):
        after = [("http://evil.example/", f"a=1; Domain={domain}")]
        assert sent_to(f"http://{domain.strip('.')}/", after=after) == ""
    assert sent_to("http://127.0.0.1/", after=[("http://10.0.0.1/", "a=1; Domain=0.0.1")]) == ""


def test_secure_cookies_and_paths_are_kept_apart() -> None:
    assert sent_to("http://example.org/", after=[("https://example.org/", "a=1; Secure")]) == ""
    assert sent_to("https://example.org/", after=[("https://example.org/", "a=1; Secure")]) == "a=1"
    assert sent_to("http://example.org/b", after=[("http://example.org/a/x", "a=1; Path=/a")]) == ""


def test_a_cookie_that_is_past_its_time_is_forgotten() -> None:
    after = [("http://example.org/", "a=1"), ("http://example.org/", "a=1; Max-Age=0")]
    assert sent_to("http://example.org/", after=after) == ""


def test_cookies_are_bounded() -> None:
    many = [("http://example.org/", f"c{n}=1") for n in range(COOKIES_MAX * 3)]
    assert sent_to("http://example.org/", after=many).count("=") == COOKIES_MAX
    large = [("http://example.org/", f"c={'x' * COOKIE_CHARS_MAX}")]
    assert sent_to("http://example.org/", after=large) == ""
