"""Decodes the bytes of a page to text. It detects the character set as browsers do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from encodings.aliases import aliases

from training.agent.web.browser import ROBOTS_NAME

PLAIN_TEXT = "text/plain"
XHTML = "application/xhtml+xml"
# How much of the page is searched for a declaration, which must be near the beginning.
_DECLARED_WITHIN = 8_192

_SAME = (
    "utf_8 cp866 iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_10 iso8859_13 "
    "iso8859_14 iso8859_15 iso8859_16 koi8_r koi8_u mac_roman mac_cyrillic cp874 cp932 cp949 cp1250 cp1251 cp1252 "
    "cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 gb18030 big5hkscs euc_jp iso2022_jp utf_16_le utf_16_be"
)
# Python's codec to the one that browsers read such pages with: a superset, where the Encoding Standard has one.
# A codec that is not listed (UTF-7, punycode, zip, …) is not a character set of pages.
_CODECS = dict.fromkeys(_SAME.split(), "") | {
    "ascii": "cp1252",
    "latin_1": "cp1252",
    "iso8859_1": "cp1252",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "tis_620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "cp950": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "utf_16": "utf_16_le",
    "user_defined": "cp1252",
}
# Names of the Encoding Standard that Python does not know.
_LABELS = {
    "unicode_1_1_utf_8": "utf_8",
    "unicode11utf8": "utf_8",
    "unicode20utf8": "utf_8",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "logical": "iso8859_8",
    "visual": "iso8859_8",
    "koi": "koi8_r",
    "koi8": "koi8_r",
    "koi8_ru": "koi8_u",
    "mac": "mac_roman",
    "mac_ukrainian": "mac_cyrillic",
    "dos_874": "cp874",
    "windows_874": "cp874",
    "windows_949": "cp949",
    "x_big5": "big5",
    "cn_big5": "big5",
    "ms932": "cp932",
    "windows_31j": "cp932",
    "sjis": "shift_jis",
    "ucs_2": "utf_16_le",
    "unicode": "utf_16_le",
    "unicodefffe": "utf_16_be",
    "unicodefeff": "utf_16_le",
}
_BOMS = ((b"\xef\xbb\xbf", "utf_8"), (b"\xff\xfe", "utf_16_le"), (b"\xfe\xff", "utf_16_be"))
# Markup that begins with "<" in two bytes.
_WIDE_STARTS = ((b"<\x00", "utf_16_le"), (b"\x00<", "utf_16_be"))
_NOT_A_NAME = re.compile(r"[^a-z0-9]+")
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
_META = re.compile(rb"<meta\s[^>]*?(?<![\w-])charset\s*=\s*[\"']?\s*([\w:.-]{1,40})", re.IGNORECASE)
_XML = re.compile(rb"\s*<\?xml\s[^>]*?encoding\s*=\s*[\"']([\w:.-]{1,40})[\"']")
_CHARSET = re.compile(r";\s*charset\s*=\s*[\"']?\s*([\w:.-]{1,40})", re.IGNORECASE)
_ROBOTS = re.compile(r";\s*robots=([a-z,]+)")
_RULE = re.compile(r"(?:\s*([\w-]+)\s*:)?([^,;]*)[,;]?")
# Rules that have a value. Before any other colon is the name of the agent to which the rules apply.
_RULES_WITH_VALUE = frozenset({"max-image-preview", "max-snippet", "max-video-preview", "unavailable_after"})


def describe_media_type(*, content_type: str, robots: Iterable[str] = ()) -> str:
    """One line, stored with the body, of what the headers say about reading the page.

    The type, then the character set if it is known, then what the X-Robots-Tag headers forbid:
    `text/html; charset=windows-1251; robots=noindex,nofollow`.
    """
    described = bare_type(content_type)
    declared = _CHARSET.search(content_type)
    if declared and find_codec(declared[1]):
        described += f"; charset={declared[1].lower()}"
    forbidden = sorted({rule for header in robots for rule in read_robots_rules(header)})
    return f"{described}; robots={','.join(forbidden)}" if forbidden else described


def bare_type(media_type: str) -> str:
    """The media type without its parameters, in lower case."""
    return media_type.partition(";")[0].strip().lower()


def read_forbidden(media_type: str) -> frozenset[str]:
    """What the headers forbid, as `describe_media_type` kept it: "noindex", "nofollow"."""
    kept = _ROBOTS.search(media_type)
    return frozenset(kept[1].split(",")) if kept else frozenset()


def read_robots_rules(content: str) -> frozenset[str]:
    """ "noindex" and "nofollow" as a robots meta tag or an X-Robots-Tag header says them to us; "none" is both."""
    said: set[str] = set()
    is_ours = True
    for name, value in _RULE.findall(content.lower()):
        if name and name not in _RULES_WITH_VALUE:
            is_ours = name == ROBOTS_NAME.lower()
        if is_ours and name not in _RULES_WITH_VALUE:
            said.update(value.split())
    return frozenset({"noindex", "nofollow"} if "none" in said else said & {"noindex", "nofollow"})


def decode_body(body: bytes, *, media_type: str) -> str:
    """The text of a page. Bytes that are invalid in its character set become U+FFFD.

    As in browsers, the first of these decides: a byte order mark, the header, the page's own declaration. Without any
    of them it is UTF-8 if that is possible, or else windows-1252.
    """
    for mark, codec in _BOMS:
        if body.startswith(mark):
            return body[len(mark) :].decode(codec, "replace")
    declared = _CHARSET.search(media_type)
    codec = find_codec(declared[1]) if declared else ""
    if not codec and bare_type(media_type) != PLAIN_TEXT:
        codec = _find_declared(body)
    return body.decode(codec, "replace") if codec else _decode_undeclared(body)


def find_codec(label: str) -> str:
    """Python's codec for the name of a character set; empty when pages cannot have it."""
    name = _NOT_A_NAME.sub("_", label.lower()).strip("_")
    for known in (name, name.removeprefix("x_")):
        codec = _LABELS.get(known, aliases.get(known, known))
        if codec in _CODECS:
            return _CODECS[codec] or codec
    return ""


def _find_declared(body: bytes) -> str:
    for start, codec in _WIDE_STARTS:
        if body.startswith(start):
            return codec
    head = body[:_DECLARED_WITHIN]
    declared = _XML.match(head) or _META.search(_COMMENT.sub(b"", head))
    codec = find_codec(declared[1].decode("ascii", "replace")) if declared else ""
    # The declaration was read as single bytes, so the page is not UTF-16.
    return "utf_8" if codec.startswith("utf_16") else codec


def _decode_undeclared(body: bytes) -> str:
    text = body.decode("utf_8", "replace")
    broken = text.count("\ufffd")
    if not broken:
        return text
    # One broken letter among many whole ones is damage, not another character set.
    whole = len(text) - len(text.encode("ascii", "ignore")) - broken
    return text if whole > broken else body.decode("cp1252", "replace")
