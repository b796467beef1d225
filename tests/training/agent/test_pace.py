"""Turns and waits: between pages, not between what a page loads."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler

import pytest

from tests.training.agent.sites import GARDEN, Stub, serve
from training.agent.errors import AgentError, ErrorCode
from training.agent.web.exchange import Caps
from training.agent.web.http_browser import ATTEMPTS_MAX, HttpBrowser
from training.agent.web.pace import RETRY_AFTER_MAX_S, OwnPace, read_retry_after

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))
        self.now += seconds


def later(seconds: str, status: int = 429) -> Stub:
    return Stub(b"later", status=status, headers={"Retry-After": seconds})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("9" * 400, RETRY_AFTER_MAX_S),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_MAX_S),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("\u0663", None),
    ],
)
def test_a_wait_is_asked_for_in_seconds_or_until_a_date(value: str, seconds: float | None) -> None:
    assert read_retry_after(value, now=NOON) == seconds


@pytest.mark.parametrize("status", [429, 503])
def test_a_page_that_is_to_be_had_later_is_asked_for_later(status: int) -> None:
    clock, answers = Clock(), [later("7", status), later("2", status), Stub(b"<p>here</p>")]
    with (
        serve({"/": lambda: answers.pop(0)}) as stub,
        HttpBrowser(site=stub.site(), sleep=clock.sleep, clock=clock) as browser,
    ):
        assert browser.fetch(stub.url).body == b"<p>here</p>"
    assert clock.slept == [7.0, 2.0]


def test_a_server_that_says_later_for_ever_is_left() -> None:
    clock = Clock()
    with (
        serve({"/": later("1")}) as stub,
        HttpBrowser(site=stub.site(), sleep=clock.sleep, clock=clock) as browser,
    ):
        assert browser.fetch(stub.url).status == 429
        assert stub.asked.count("/") == ATTEMPTS_MAX


def test_no_wait_is_longer_than_the_run() -> None:
    clock = Clock()
    with (
        serve({"/": later("70"), "/next": b"<p>next</p>"}) as stub,
        HttpBrowser(site=stub.site(), run_seconds=120, sleep=clock.sleep, clock=clock) as browser,
    ):
        with pytest.raises(AgentError, match="asks for a pause") as caught:
            browser.fetch(stub.url)
        assert caught.value.code == ErrorCode.FETCH_FAILED
        assert clock.slept == [70.0]
        # What the site asked for holds for its other pages too.
        with pytest.raises(AgentError, match="asks for a pause"):
            browser.fetch(stub.url + "next")
        assert "/next" not in stub.asked


def test_a_status_without_a_wait_is_a_page_as_any_other() -> None:
    with serve({"/": Stub(b"x", status=503)}) as stub, HttpBrowser(site=stub.site()) as browser:
        assert browser.fetch(stub.url).status == 503
        assert stub.asked.count("/") == 1


def test_what_a_page_loads_waits_for_no_turn() -> None:
    clock = Clock()
    pages = {**GARDEN, **{f"/{n}.js": Stub(b"1", media_type="text/javascript") for n in range(12)}}
    with (
        serve(pages) as stub,
        HttpBrowser(site=stub.site(politeness_delay_s=2.0), sleep=clock.sleep, clock=clock) as browser,
    ):
        browser.fetch(stub.url)
        for n in range(12):
            assert browser.fetch_part(f"{stub.url}{n}.js").body == b"1"
        browser.fetch(stub.url + "roses.html")
    # Between robots.txt and the page, and between the two pages.
    assert clock.slept == [2.0, 2.0]


def test_a_turn_that_is_too_far_away_is_not_taken() -> None:
    clock = Clock()
    pace = OwnPace(clock)
    assert pace.reserve_turn(delay_s=10, within_s=0) == 0
    assert pace.reserve_turn(delay_s=10, within_s=9) is None
    assert pace.reserve_turn(delay_s=10, within_s=10) == 10


def test_a_body_that_drips_after_a_wait_still_ends_in_time() -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        try:
            for _ in range(100):
                handler.wfile.write(b"x")
                handler.wfile.flush()
                time.sleep(0.05)
        except OSError:
            return

    answers = [later("0"), Stub(send=drip)]
    with (
        serve({"/": lambda: answers.pop(0)}) as stub,
        HttpBrowser(site=stub.site(), caps=Caps(seconds=0.5)) as browser,
    ):
        began = time.monotonic()
        with pytest.raises(AgentError) as caught:
            browser.fetch(stub.url)
        assert caught.value.code == ErrorCode.TIMEOUT
        assert time.monotonic() - began < 2
