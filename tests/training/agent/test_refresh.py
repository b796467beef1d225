"""Pages that send their readers on without a redirect."""

from __future__ import annotations

import time

import pytest

from tests.training.agent.sites import Stub, serve
from training.agent.errors import AgentError, ErrorCode
from training.agent.web.http_browser import HttpBrowser
from training.agent.web.refresh import REFRESH_BYTES, find_refresh, read_refresh

HERE = b"<p>The page that is meant.</p>"


def sending(content: str) -> bytes:
    return f'<!doctype html><head><meta http-equiv="refresh" content="{content}"></head>'.encode()


@pytest.mark.parametrize(
    ("content", "target"),
    [
        ("0; url=en/index.html", "en/index.html"),
        ("0;URL='en/'", "en/"),
        ("0, url = en/", "en/"),
        ("0 en/", "en/"),
        ("  3.5 ;url=en/", "en/"),
        (".5;url=en/", "en/"),
        ("10; url=en/", "en/"),
        ("11; url=en/", ""),
        ("300; url=en/", ""),
        ("0", ""),
        ("0;", ""),
        ("5;url=", ""),
        ("url=en/", ""),
        ("soon; url=en/", ""),
        ("", ""),
    ],
)
def test_a_refresh_is_read_as_browsers_read_it(content: str, target: str) -> None:
    assert read_refresh(content) == target


def test_a_refresh_is_read_in_the_character_set_of_its_page() -> None:
    page = '<meta http-equiv="refresh" content="0; url=/\u0441\u0430\u0434">'.encode("windows-1251")
    target = find_refresh(page, url="http://example.org/", media_type="text/html; charset=windows-1251")
    assert target == "http://example.org/\u0441\u0430\u0434"


@pytest.mark.parametrize(
    "page",
    [
        sending("0; url=en/index.html"),
        b'<META CONTENT="1;URL=/en/index.html" HTTP-EQUIV=Refresh>',
        b'<base href="/en/"><meta http-equiv=refresh content="0; url=index.html">',
        Stub(b"<p>wait</p>", headers={"Refresh": "0; url=/en/index.html"}),
        sending("0; url=en\\index.html"),
        "\ufeff".encode("utf-16-le") + sending("0; url=en/index.html").decode().encode("utf-16-le"),
        Stub(sending("0; url=en/index.html").decode().encode("utf-16-be"), media_type="text/html; charset=utf-16be"),
    ],
)
def test_a_page_that_only_sends_on_is_followed(page: bytes | Stub) -> None:
    with serve({"/": page, "/en/index.html": HERE}) as stub, HttpBrowser(site=stub.site()) as browser:
        found = browser.fetch(stub.url)
        assert (found.url, found.final_url, found.body) == (stub.url, f"{stub.url}en/index.html", HERE)


@pytest.mark.parametrize(
    "page",
    [
        sending("300; url=/en/index.html"),
        sending("5"),
        sending("5; url=/"),
        sending("0; url=#top"),
        sending("0; url=javascript:alert(1)"),
        sending("0; url=http://["),
        b'<noscript><meta http-equiv="refresh" content="0; url=/no-scripts"></noscript><p>content</p>',
        b'<!-- <meta http-equiv="refresh" content="0; url=/old"> --><p>content</p>',
        b'<script>\'<meta http-equiv="refresh" content="0; url=/old">\'</script><p>content</p>',
    ],
)
def test_a_page_that_stays_is_read_as_it_is(page: bytes) -> None:
    with serve({"/": page}) as stub, HttpBrowser(site=stub.site()) as browser:
        assert browser.fetch(stub.url).body == page
        assert stub.asked == ["/robots.txt", "/"]


def test_a_refresh_to_another_host_is_refused_and_named() -> None:
    with (
        serve({"/": sending("0; url=http://www.garden.example/")}) as stub,
        HttpBrowser(site=stub.site()) as browser,
        pytest.raises(AgentError, match=r"www\.garden\.example.*alias") as caught,
    ):
        browser.fetch(stub.url)
    assert caught.value.code == ErrorCode.BLOCKED_BY_POLICY


def test_pages_that_send_on_in_a_circle_or_without_end_are_left() -> None:
    pages = {"/": sending("0; url=/b"), "/b": sending("0; url=/")}
    pages |= {f"/{n}": sending(f"0; url=/{n + 1}") for n in range(20)}
    with serve(pages) as stub, HttpBrowser(site=stub.site()) as browser:
        for path in ("", "0"):
            with pytest.raises(AgentError) as caught:
                browser.fetch(stub.url + path)
            assert caught.value.code == ErrorCode.REDIRECT_LOOP
        assert len(stub.asked) < 12


@pytest.mark.parametrize("shape", [b"<a", b"<!", b"<!--", b"</", b"<meta http-equiv=", b"<a x='", b"&#", b"<template>"])
def test_markup_made_to_take_long_takes_no_time(shape: bytes) -> None:
    began = time.monotonic()
    assert find_refresh(b"<i http-equiv>" + shape * REFRESH_BYTES, url="http://h.example/") == ""
    assert time.monotonic() - began < 2
