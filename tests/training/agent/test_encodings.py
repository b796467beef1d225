"""Packed bodies as servers send them."""

from __future__ import annotations

import gzip
import os
import time
import zlib

import pytest

from tests.training.agent.sites import Stub, serve
from training.agent.errors import AgentError, ErrorCode
from training.agent.web.encodings import MEMBERS_MAX
from training.agent.web.exchange import Caps
from training.agent.web.http_browser import HttpBrowser

PAGE = b"<p>" + os.urandom(60_000).hex().encode() + b"</p>"


def deflate_raw(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


def fetch(body: bytes, encoding: str | None, caps: Caps | None = None) -> bytes:
    headers = {} if encoding is None else {"Content-Encoding": encoding}
    with serve({"/": Stub(body, headers=headers)}) as stub, HttpBrowser(site=stub.site(), caps=caps) as browser:
        return browser.fetch(stub.url).body


def failure(body: bytes, encoding: str, caps: Caps | None = None) -> ErrorCode:
    with pytest.raises(AgentError) as caught:
        fetch(body, encoding, caps)
    return caught.value.code


@pytest.mark.parametrize(
    "encoding", ["utf-8", "UTF-8", "none", "binary", "8bit", "text/html", "identity", "", ",", "bogus, utf8"]
)
def test_a_coding_that_does_not_exist_packs_nothing(encoding: str) -> None:
    assert fetch(PAGE, encoding) == PAGE


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(PAGE), "gzip"),
        (gzip.compress(PAGE), "X-GZIP"),
        (gzip.compress(PAGE), "utf-8, gzip"),
        (zlib.compress(PAGE), "deflate"),
        (deflate_raw(PAGE), "deflate"),
        (gzip.compress(PAGE), "deflate"),
        (gzip.compress(zlib.compress(PAGE)), "deflate, gzip"),
        (gzip.compress(gzip.compress(PAGE)), "gzip, gzip"),
        # A proxy that adds its header again packs nothing again.
        (gzip.compress(PAGE), "gzip, gzip"),
    ],
)
def test_every_form_of_packing_is_read(body: bytes, encoding: str) -> None:
    assert fetch(body, encoding) == PAGE


@pytest.mark.parametrize("cuts", [(1,), (2,), (1_000, 1_001, 30_000), (119_999,)])
def test_several_gzip_members_are_one_page(cuts: tuple[int, ...]) -> None:
    ends = (*cuts, len(PAGE))
    members = [gzip.compress(PAGE[start:end]) for start, end in zip((0, *cuts), ends, strict=True)]
    assert fetch(b"".join(members), "gzip") == PAGE
    assert fetch(b"".join(members) + b"\0" * 512, "gzip") == PAGE


@pytest.mark.parametrize("packed", [gzip.compress(PAGE), zlib.compress(PAGE), deflate_raw(PAGE)])
@pytest.mark.parametrize("missing", [1, 4, 9, 30_000])
def test_a_packed_page_that_ends_before_its_end_is_refused(packed: bytes, missing: int) -> None:
    assert failure(packed[:-missing], "gzip" if packed[:1] == b"\x1f" else "deflate") == ErrorCode.FETCH_FAILED


def test_a_second_member_that_is_cut_off_is_refused() -> None:
    assert failure(gzip.compress(PAGE) + gzip.compress(PAGE)[:-100], "gzip") == ErrorCode.FETCH_FAILED


def test_an_empty_body_is_whole_whatever_its_header_says() -> None:
    assert fetch(b"", "gzip") == b""


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, br"])
def test_a_coding_that_was_not_asked_for_is_refused(encoding: str) -> None:
    assert failure(gzip.compress(PAGE), encoding) == ErrorCode.FETCH_FAILED


def test_plain_text_under_a_gzip_header_is_refused() -> None:
    assert failure(b"<p>not packed</p>", "gzip") == ErrorCode.FETCH_FAILED


@pytest.mark.parametrize(
    "encoding",
    ["gzip, gzip, gzip", "deflate, gzip, deflate, gzip"],
)
def test_a_page_packed_again_and_again_is_refused(encoding: str) -> None:
    assert failure(gzip.compress(PAGE), encoding) == ErrorCode.FETCH_FAILED


def test_a_bomb_within_a_bomb_is_refused() -> None:
    bomb = gzip.compress(gzip.compress(b"0" * 100_000_000))
    assert failure(bomb, "gzip, gzip") == ErrorCode.TOO_LARGE
    assert failure(bomb, "gzip, gzip", Caps(ratio=10**9)) == ErrorCode.TOO_LARGE


def test_members_without_end_are_refused_soon() -> None:
    started = time.monotonic()
    assert failure(gzip.compress(b"x") * (MEMBERS_MAX * 50), "gzip") == ErrorCode.FETCH_FAILED
    assert time.monotonic() - started < 5
