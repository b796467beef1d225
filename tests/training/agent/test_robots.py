"""robots.txt as servers really give it."""

from __future__ import annotations

import codecs
import socket
import time
from typing import Any

import pytest

from tests.training.agent.sites import Stub, serve
from tests.training.agent.test_egress import answering
from training.agent.errors import AgentError, ErrorCode
from training.agent.web.http_browser import HttpBrowser
from training.agent.web.robots import Robots

FORBIDS = "User-agent: *\r\nDisallow: /\r\n"


def fetch(robots: Stub) -> str:
    """What becomes of the page "/" under these rules: "read" or an error code."""
    with serve({"/robots.txt": robots, "/": b"<p>page</p>"}) as stub, HttpBrowser(site=stub.site()) as browser:
        try:
            browser.fetch(stub.url)
        except AgentError as error:
            assert "/" not in stub.asked
            return str(error.code)
        return "read"


@pytest.mark.parametrize(
    "body",
    [
        codecs.BOM_UTF8 + FORBIDS.encode(),
        codecs.BOM_UTF8 * 2 + FORBIDS.encode(),
        codecs.BOM_UTF16_LE + FORBIDS.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + FORBIDS.encode("utf-16-be"),
        b"# first\n" + codecs.BOM_UTF8 + FORBIDS.encode(),
        b"\n\n" + FORBIDS.replace("\r\n", "\r").encode(),
    ],
)
def test_a_byte_order_mark_does_not_switch_the_rules_off(body: bytes) -> None:
    assert fetch(Stub(body, media_type="text/plain")) == ErrorCode.BLOCKED_BY_POLICY


@pytest.mark.parametrize("name", ["LeaLife", "lealife", "LeaLife/0.1"])
def test_rules_for_us_by_name_count_with_and_without_a_version(name: str) -> None:
    body = f"User-agent: {name}\nDisallow: /\n\nUser-agent: *\nDisallow:\n".encode()
    assert fetch(Stub(body, media_type="text/plain")) == ErrorCode.BLOCKED_BY_POLICY


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, "read"),
        (401, "read"),
        (403, "read"),
        (404, "read"),
        (410, "read"),
        (408, "fetch_failed"),
        (425, "fetch_failed"),
        (429, "fetch_failed"),
        (500, "fetch_failed"),
        (502, "fetch_failed"),
        (503, "fetch_failed"),
    ],
)
def test_a_status_that_means_not_now_forbids_and_one_that_means_none_allows(status: int, outcome: str) -> None:
    assert fetch(Stub(FORBIDS.encode(), status=status)) == outcome


def test_rules_that_come_after_the_asked_wait_are_obeyed() -> None:
    answers = [Stub(status=429, headers={"Retry-After": "1"}), Stub(b"User-agent: *\nDisallow: /private")]
    pages = {"/robots.txt": lambda: answers.pop(0), "/": b"<p>page</p>"}
    with serve(pages) as stub, HttpBrowser(site=stub.site()) as browser:
        began = time.monotonic()
        assert browser.fetch(stub.url).status == 200
        assert time.monotonic() - began >= 1
        assert stub.asked == ["/robots.txt", "/robots.txt", "/"]


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:1/robots.txt", "http://169.254.169.254/x", "file:///etc/x", "http://[/"]
)
def test_rules_that_cannot_be_had_elsewhere_are_no_rules(location: str) -> None:
    assert fetch(Stub(status=301, headers={"Location": location})) == "read"


def test_rules_elsewhere_are_never_fetched_from_a_private_address() -> None:
    with serve({"/robots.txt": FORBIDS.encode(), "/x": b"secret"}) as other:
        elsewhere = other.url.replace("127.0.0.1", "localhost")
        assert fetch(Stub(status=302, headers={"Location": f"{elsewhere}x"})) == "read"
        assert other.asked == []


def test_rules_are_read_from_the_public_host_that_they_are_redirected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, *rest: Any) -> list[Any]:
        return answering("93.184.216.34" if host == "cdn.example" else "127.0.0.1")(host, *rest)

    def connect(addresses: list[Any], **options: Any) -> socket.socket:
        # The guard has let a public address pass. No test leaves this machine, so the connection ends here.
        return socket.create_connection(("127.0.0.1", addresses[0].port))

    monkeypatch.setattr("ssrfguard.httpx.connect", connect)
    with serve({"/rules.txt": FORBIDS.encode()}) as cdn:
        port = cdn.url.rstrip("/").rpartition(":")[2]
        moved = Stub(status=301, headers={"Location": f"http://cdn.example:{port}/rules.txt"})
        with serve({"/robots.txt": moved, "/": b"<p>page</p>"}) as stub:
            with HttpBrowser(site=stub.site(), resolver=resolve) as browser, pytest.raises(AgentError) as caught:
                browser.add_cookie(url=stub.url, name="mine", value="1")
                browser.fetch(stub.url)
            assert caught.value.code == ErrorCode.BLOCKED_BY_POLICY
            assert stub.asked == ["/robots.txt"]
        assert cdn.asked == ["/rules.txt"]
        assert cdn.cookies == [""]


@pytest.mark.parametrize(
    ("delay", "seconds"), [("3", 3.0), ("nan", 0.0), ("inf", 0.0), ("-4", 0.0), ("1e9", 10.0), ("x", 0.0)]
)
def test_a_delay_is_a_number_of_seconds_up_to_ten(delay: str, seconds: float) -> None:
    body = f"User-agent: *\nCrawl-delay: {delay}".encode()
    assert Robots.read(status=200, body=body).delay_s == seconds
