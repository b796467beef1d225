"""Character sets: which one a page is read in, and what its headers say of it."""

from __future__ import annotations

import pytest

from training.agent.reading.charset import (
    decode_body,
    describe_media_type,
    find_codec,
    read_forbidden,
    read_robots_rules,
)

RUSSIAN = "\u0421\u0440\u043e\u043a \u0445\u0440\u0430\u043d\u0435\u043d\u0438\u044f"
JAPANESE = "\u6771\u4eac\u306e\u5929\u6c17 \u2460"
EURO = "Caf\u00e9 \u2013 5 \u20ac"


def declare(declaration: str, text: str) -> str:
    return f"<!doctype html><html><head>{declaration}</head><body><p>{text}</p></body></html>"


@pytest.mark.parametrize(
    ("media_type", "codec", "text"),
    [
        ("text/html; charset=windows-1251", "cp1251", RUSSIAN),
        ('text/html;charset="KOI8-R"', "koi8_r", RUSSIAN),
        ("text/html; charset=ISO-8859-1", "cp1252", EURO),
        ("text/plain; charset=Shift_JIS", "cp932", JAPANESE),
        ("text/html; charset=utf-16", "utf_16_le", RUSSIAN),
        ("text/html; charset=gb2312", "gb18030", "\u7d2b\u8272\u9555"),
        ("text/html; charset=euc-kr", "cp949", "\ubcf4\uad00\ub620"),
        ("text/html; charset=no-such-set", "utf_8", RUSSIAN),
    ],
)
def test_the_header_names_the_character_set(media_type: str, codec: str, text: str) -> None:
    assert decode_body(text.encode(codec), media_type=media_type) == text


@pytest.mark.parametrize(
    ("declaration", "codec", "text"),
    [
        ('<meta charset="Shift_JIS">', "cp932", JAPANESE),
        ("<META http-equiv=Content-Type content='text/html; charset=windows-1251'>", "cp1251", RUSSIAN),
        ("<!-- <meta charset=utf-8> --><meta charset = koi8-r >", "koi8_r", RUSSIAN),
        ('<meta charset="utf-16">', "utf_8", RUSSIAN),
        ('<meta name=x content="no charset here"><meta charset=euc-jp>', "euc_jp", "\u6771\u4eac"),
        ("", "utf_8", RUSSIAN),
        ("", "cp1252", EURO),
    ],
)
def test_without_a_header_the_page_declares_it_or_it_is_guessed(declaration: str, codec: str, text: str) -> None:
    page = declare(declaration, text)
    assert decode_body(page.encode(codec), media_type="text/html") == page


def test_xml_declares_it_in_its_first_line() -> None:
    page = f'<?xml version="1.0" encoding="windows-1251"?><html><body>{RUSSIAN}</body></html>'
    assert decode_body(page.encode("cp1251"), media_type="application/xhtml+xml") == page


@pytest.mark.parametrize("codec", ["utf_8_sig", "utf_16"])
def test_a_byte_order_mark_decides_and_is_no_text(codec: str) -> None:
    assert decode_body(RUSSIAN.encode(codec), media_type="text/plain; charset=iso-8859-1") == RUSSIAN


@pytest.mark.parametrize("codec", ["utf_16_le", "utf_16_be"])
def test_markup_in_two_bytes_is_known_without_a_mark(codec: str) -> None:
    page = declare("", RUSSIAN)
    assert decode_body(page.encode(codec), media_type="text/html") == page


def test_a_broken_letter_does_not_turn_utf_8_into_another_character_set() -> None:
    assert decode_body(RUSSIAN.encode() + b"\xd0", media_type="text/html") == f"{RUSSIAN}\ufffd"


def test_plain_text_declares_nothing_in_its_body() -> None:
    text = '<meta charset="koi8-r"> caf\u00e9'
    assert decode_body(text.encode(), media_type="text/plain") == text


@pytest.mark.parametrize("label", ["utf-7", "zip", "base64", "punycode", "idna", "rot13", "unicode_escape", "", "../x"])
def test_what_is_no_character_set_of_pages_is_unknown(label: str) -> None:
    assert find_codec(label) == ""


@pytest.mark.parametrize(
    "label",
    (
        "utf8 unicode-1-1-utf-8 866 csibm866 l2 iso-8859-8-i hebrew arabic greek8 latin6 iso-8859-15 koi8-ru macintosh "
        "windows-874 tis-620 x-cp1250 cp1251 ascii latin1 us-ascii x-cp1254 windows-1258 x-mac-ukrainian chinese gbk "
        "x-gbk gb18030 big5-hkscs x-x-big5 cn-big5 euc-jp x-euc-jp iso-2022-jp ms_kanji shift-jis x-sjis windows-31j "
        "ks_c_5601-1987 korean windows-949 utf-16be utf-16 unicode x-user-defined"
    ).split(),
)
def test_names_that_browsers_know_are_known(label: str) -> None:
    codec = find_codec(label)
    assert codec
    assert isinstance(b"a".decode(codec, "replace"), str)


@pytest.mark.parametrize(
    ("content_type", "robots", "described"),
    [
        ("Text/HTML; Charset=Windows-1251; x=y", [], "text/html; charset=windows-1251"),
        ("text/html;charset=bogus", [], "text/html"),
        ("text/html", ["none"], "text/html; robots=nofollow,noindex"),
        ("text/plain; charset=utf-8", ["noarchive, NoIndex"], "text/plain; charset=utf-8; robots=noindex"),
        ("text/html", ["otherbot: noindex", "lealife: nofollow"], "text/html; robots=nofollow"),
        ("text/html", ["otherbot: noindex, lealife: nofollow"], "text/html; robots=nofollow"),
        ("text/html", ["otherbot: nofollow, noindex"], "text/html"),
        ("text/html", ["max-snippet: -1, noindex"], "text/html; robots=noindex"),
        ("text/html", ["lealife: max-image-preview:large, noindex"], "text/html; robots=noindex"),
        ("text/html", ["unavailable_after: Friday, 25 Jun 2010 15:00:00 PST, nofollow"], "text/html; robots=nofollow"),
        ("text/html; robots=noindex", [], "text/html"),
    ],
)
def test_what_the_headers_say_is_one_line(content_type: str, robots: list[str], described: str) -> None:
    assert describe_media_type(content_type=content_type, robots=robots) == described
    assert read_forbidden(described) == {rule for rule in ("noindex", "nofollow") if rule in described}


def test_rules_for_robots_are_read_as_they_are_written() -> None:
    assert read_robots_rules("NOINDEX , nofollow") == {"noindex", "nofollow"}
    assert read_robots_rules("all") == read_robots_rules("unavailable_after: 25 Jun 2030 15:00:00 PST") == frozenset()
