"""What a body is taken for."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

import pytest

from tests.training.agent.sites import Stub, serve
from training.agent.errors import AgentError, ErrorCode
from training.agent.reading.content_types import ContentType, read_content_type, sniff_media_type
from training.agent.web.http_browser import HttpBrowser

HTML_PAGE = b"<!DOCTYPE html><title>t</title><p>A page.</p>"


@pytest.mark.parametrize(
    ("headers", "media_type", "charset"),
    [
        (["text/html"], "text/html", ""),
        (["Text/HTML; Charset=UTF-8"], "text/html", "utf-8"),
        (["text/html", "text/html; charset=UTF-8"], "text/html", "utf-8"),
        (["text/html; charset=gbk, text/html"], "text/html", "gbk"),
        (["text/html; charset=gbk", "text/plain"], "text/plain", ""),
        (["text/plain", "text/html;charset='x'"], "text/html", "'x'"),
        (['text/html; charset="utf-8"'], "text/html", "utf-8"),
        (['text/html; title="a, b/c"; charset=utf-8'], "text/html", "utf-8"),
        (["text/html", "nonsense"], "text/html", ""),
        (["text/html", "*/*"], "text/html", ""),
        ([], "", ""),
        ([""], "", ""),
        (["html"], "", ""),
        (["text/"], "", ""),
        (["unknown/unknown"], "", ""),
        (["; charset=utf-8"], "", ""),
    ],
)
def test_headers_are_read_as_the_fetch_standard_reads_them(headers: list[str], media_type: str, charset: str) -> None:
    found = read_content_type(headers)
    assert (found.media_type, found.charset) == (media_type, charset)


def test_the_text_plain_of_old_servers_is_doubtful() -> None:
    assert read_content_type(["text/plain"]) == ContentType("text/plain", is_doubtful=True)
    assert not read_content_type(["text/plain; charset=utf-16"]).is_doubtful


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (HTML_PAGE, "text/html"),
        (b"\r\n  <html lang=en>", "text/html"),
        (b"\xef\xbb\xbf<!doctype html>", "text/html"),
        (b"<!-- made by hand --><p>", "text/html"),
        (b"<p>hello", "text/html"),
        (b"<paper>", "text/plain"),
        (b"Just words.", "text/plain"),
        (b"\xff\xfeh\0i\0", "text/plain"),
        (b'<?xml version="1.0"?><rss>', "text/xml"),
        (b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml">', "application/xhtml+xml"),
        (b"%PDF-1.7 ...", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"PK\x03\x04....", "application/zip"),
        (b"abc\0def", "application/octet-stream"),
        (b"", "text/plain"),
    ],
)
def test_a_body_without_a_type_is_taken_for_what_it_begins_as(head: bytes, media_type: str) -> None:
    assert sniff_media_type(head) == media_type


@pytest.mark.parametrize("media_type", [None, "", "html", "*/*", "unknown/unknown"])
def test_a_page_without_a_usable_type_is_read(media_type: str | None) -> None:
    with serve({"/": Stub(HTML_PAGE, media_type=media_type)}) as stub, HttpBrowser(site=stub.site()) as browser:
        page = browser.fetch(stub.url)
        assert (page.media_type, page.body) == ("text/html", HTML_PAGE)


def test_a_type_that_is_sent_twice_is_one_type() -> None:
    again = [("Content-Type", "text/html; charset=UTF-8")]
    stub_page = Stub(HTML_PAGE, media_type="text/html", headers=again)
    with serve({"/": stub_page}) as stub, HttpBrowser(site=stub.site()) as browser:
        assert browser.fetch(stub.url).media_type == "text/html; charset=utf-8"


@pytest.mark.parametrize("media_type", [None, "text/plain"])
def test_a_program_of_no_type_is_refused_without_being_loaded(media_type: str | None) -> None:
    sent: list[int] = []

    def flood(handler: BaseHTTPRequestHandler) -> None:
        try:
            for _ in range(60):
                sent.append(handler.wfile.write(b"\x7fELF\0\1\2\3" * 8_192))
        except OSError:
            return

    with serve({"/": Stub(send=flood, media_type=media_type)}) as stub, HttpBrowser(site=stub.site()) as browser:
        with pytest.raises(AgentError) as caught:
            browser.fetch(stub.url)
        # Refused as what it is, before it was too large.
        assert caught.value.code == ErrorCode.NOT_HTML


def test_a_server_that_forbids_guessing_gets_no_html_guessed() -> None:
    stub_page = Stub(HTML_PAGE, media_type=None, headers={"X-Content-Type-Options": "nosniff"})
    with serve({"/": stub_page}) as stub, HttpBrowser(site=stub.site()) as browser:
        assert browser.fetch(stub.url).media_type == "text/plain"
