"""The chromium engine: scripts run, the network stays ours."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil
import pytest

from tests.training.agent.sites import Stub, serve
from training.agent.errors import AgentError, ErrorCode
from training.agent.web import chromium_watch
from training.agent.web.chromium_browser import ChromiumBrowser, find_chromium
from training.agent.web.chromium_watch import ChromiumWatch
from training.agent.web.http_browser import HttpBrowser

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed")


def test_a_page_is_read_after_its_scripts_and_nothing_else_is_reached() -> None:
    with serve({"/stolen": b"secret"}) as other:
        script = f"""
            document.getElementById("a").textContent = "written by a script";
            fetch("{other.url}stolen"); new WebSocket("{other.url.replace("http", "ws")}socket");
            fetch("/post", {{method: "POST", body: "x"}}); new Image().src = "/pixel.png";
        """.encode()
        pages = {
            "/": b'<title>t</title><p id=a></p><script src="/s.js"></script><iframe src="/frame"></iframe>',
            "/s.js": Stub(script, media_type="text/javascript"),
            "/away": f'<script>location = "{other.url}stolen"</script><p>still here</p>'.encode(),
        }
        with serve(pages) as stub, ChromiumBrowser(site=stub.site()) as browser:
            page = browser.fetch(stub.url)
            assert b"written by a script" in page.body
            assert (page.status, page.final_url) == (200, stub.url)
            assert stub.asked == ["/robots.txt", "/", "/s.js"]
            assert browser.fetch(stub.url + "none").status == 404
            with pytest.raises(AgentError):
                browser.fetch(stub.url + "away")
        assert other.asked == []


@pytest.mark.parametrize("endless", ["while (true) {}", "location.reload()"])
@pytest.mark.parametrize("delay_ms", [0, 20])
def test_a_page_that_never_comes_to_rest_is_given_up_and_the_next_one_is_read(monkeypatch, endless, delay_ms) -> None:
    monkeypatch.setattr(chromium_watch, "REST_SECONDS", 3.0)
    script = f"<script>addEventListener('load', () => setTimeout(() => {{ {endless} }}, {delay_ms}))</script>"
    pages = {"/": f"<title>t</title><p>x</p>{script}".encode(), "/next": b"<title>n</title><p>fine</p>"}
    with serve(pages) as stub, ChromiumBrowser(site=stub.site()) as browser:
        started = time.monotonic()
        # A page that only renews itself is read as it is, unless the machine is too busy for it to come to rest.
        with suppress(AgentError) if "reload" in endless else pytest.raises(AgentError, match="did not come to rest"):
            browser.fetch(stub.url)
        assert time.monotonic() - started < 10
        assert b"fine" in browser.fetch(stub.url + "next").body


TARGET = b"<title>t</title><p>The page that is meant.</p>"


def test_a_page_of_a_dozen_scripts_is_read_at_the_default_politeness() -> None:
    tags = "".join(f'<script src="/{n}.js"></script>' for n in range(12))
    pages = {"/": f"<p id=p></p>{tags}".encode()}
    for n in range(12):
        script = f'document.getElementById("p").textContent += " part{n}"'.encode()
        pages[f"/{n}.js"] = Stub(script, media_type="text/javascript")
    slept: list[float] = []
    with serve(pages) as stub:
        http = HttpBrowser(site=stub.site(politeness_delay_s=1.0), sleep=slept.append)
        with ChromiumBrowser(site=stub.site(), http=http) as browser:
            assert b"part11" in browser.fetch(stub.url).body
    # Between robots.txt and the page, and no more.
    assert len(slept) == 1


def test_a_cookie_that_a_script_sets_is_sent() -> None:
    def front() -> Stub:
        is_known = "seen=1" in stub.cookies[-1]
        return Stub(TARGET if is_known else b'<script>document.cookie = "seen=1"; location.reload()</script>')

    with serve({"/": front}) as stub, ChromiumBrowser(site=stub.site()) as browser:
        assert b"The page that is meant." in browser.fetch(stub.url).body


def test_a_page_that_eats_memory_is_too_large_and_the_next_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chromium_watch, "MEMORY_BYTES_MAX", 1_200_000_000)
    hungry = b"""<p>x</p><script>const held = []; setInterval(() => {
        for (let i = 0; i < 8; i++) held.push(new Uint8Array(8_000_000).fill(1)) }, 10);
        addEventListener("load", () => { const until = Date.now() + 15_000; while (Date.now() < until) {
        held.push(new Uint8Array(8_000_000).fill(1)) } })</script>"""
    with serve({"/": hungry, "/next": TARGET}) as stub, ChromiumBrowser(site=stub.site()) as browser:
        with pytest.raises(AgentError, match="MB of memory") as caught:
            browser.fetch(stub.url)
        assert caught.value.code == ErrorCode.TOO_LARGE
        assert b"The page that is meant." in browser.fetch(f"{stub.url}next").body


def test_a_browser_that_died_is_replaced() -> None:
    with serve({"/": TARGET}) as stub, ChromiumBrowser(site=stub.site()) as browser:
        assert browser.fetch(stub.url).status == 200
        for process in ChromiumWatch(mark=browser._mark).list_processes():
            # The others may end with the first.
            with suppress(psutil.NoSuchProcess):
                process.kill()
        with suppress(AgentError):
            browser.fetch(stub.url)
        assert b"The page that is meant." in browser.fetch(stub.url).body
