"""The chromium engine: scripts run, the network stays ours."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from tests.training.agent.sites import Stub, serve
from training.agent import chromium_browser
from training.agent.chromium_browser import ChromiumBrowser, find_chromium
from training.agent.errors import AgentError
from training.agent.page import parse_page

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
    monkeypatch.setattr(chromium_browser, "REST_SECONDS", 3.0)
    script = f"<script>addEventListener('load', () => setTimeout(() => {{ {endless} }}, {delay_ms}))</script>"
    pages = {"/": f"<title>t</title><p>x</p>{script}".encode(), "/next": b"<title>n</title><p>fine</p>"}
    with serve(pages) as stub, ChromiumBrowser(site=stub.site()) as browser:
        started = time.monotonic()
        # A page that reloads itself may be caught at rest between two loads.
        with suppress(AgentError) if "reload" in endless else pytest.raises(AgentError, match="did not come to rest"):
            browser.fetch(stub.url)
        assert time.monotonic() - started < 10
        assert b"fine" in browser.fetch(stub.url + "next").body


def test_what_scripts_made_of_a_page_is_utf_8_whatever_the_page_declares() -> None:
    body = "<meta charset=windows-1252><p>Caf\u00e9 \u2013 5 \u20ac</p><script>1</script>".encode("cp1252")
    with serve({"/": Stub(body, media_type="text/html", headers={"X-Robots-Tag": "nofollow"})}) as stub:
        with ChromiumBrowser(site=stub.site()) as browser:
            page = browser.fetch(stub.url)
        parsed = parse_page(body=page.body, media_type=page.media_type, url=stub.url, site=stub.site())
    assert parsed.text == "Caf\u00e9 \u2013 5 \u20ac"
    assert (page.media_type, page.scripts_ran) == ("text/html; charset=utf-8; robots=nofollow", True)


def test_a_page_that_changes_what_scripts_stand_on_is_read() -> None:
    pages = {"/": b"<title>t</title><p>fine</p><script>window.eval = () => { throw 1 }; window.Set = null</script>"}
    with serve(pages) as stub, ChromiumBrowser(site=stub.site()) as browser:
        assert b"fine" in browser.fetch(stub.url).body
