"""Decodes the bytes of a page to text. It detects the character set as browsers do."""

from __future__ import annotations

import re
from collections.abc import Iterable

import webencodings  # type: ignore[import-untyped]

from training.agent.web.browser import ROBOTS_NAME

PLAIN_TEXT = "text/plain"
XHTML = "application/xhtml+xml"
# How much of the page is searched for a declaration, which must be near the beginning.
_DECLARED_WITHIN = 8_192

# Python's codecs where `webencodings` names a smaller one, or one of its own that bytes cannot be decoded with.
_CODECS = {"gbk": "gb18030", "x-user-defined": "cp1252", "replacement": ""}
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
# Markup that begins with "<" in two bytes.
_WIDE_STARTS = ((b"<\x00", "utf-16-le"), (b"\x00<", "utf-16-be"))
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
    encoding = webencodings.lookup(label)
    return _CODECS.get(encoding.codec_info.name, encoding.codec_info.name) if encoding else ""


def _find_declared(body: bytes) -> str:
    for start, codec in _WIDE_STARTS:
        if body.startswith(start):
            return codec
    head = body[:_DECLARED_WITHIN]
    declared = _XML.match(head) or _META.search(_COMMENT.sub(b"", head))
    codec = find_codec(declared[1].decode("ascii", "replace")) if declared else ""
    # The declaration was read as single bytes, so the page is not UTF-16.
    return "utf-8" if codec.startswith("utf-16") else codec


def _decode_undeclared(body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    if not broken:
        return text
    # One broken letter among many whole ones is damage, not another character set.
    whole = len(text) - len(text.encode("ascii", "ignore")) - broken
    return text if whole > broken else body.decode("cp1252", "replace")
