"""A body's type: its Content-Type, read as in the Fetch standard, or a guess as in the MIME Sniffing standard.

Not the package mimesniff: its last release is of 2020.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

# How many bytes of a body the guess uses: the "resource header" of the MIME Sniffing standard.
SNIFF_BYTES = 1_445

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_COMMA = re.compile(r'((?:[^,"]|"(?:[^"\\]|\\.)*"?)+)')
_CHARSET = re.compile(r';\s*charset\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^;\s"]+))', re.IGNORECASE)
# Types that servers send when they do not know the type; they count as unknown.
_UNKNOWN = frozenset({"", "*/*", "unknown/unknown", "application/unknown"})
# What old servers send for every file without an extension, spelled exactly as in the standard's list.
_APACHE_BUG = frozenset(
    {
        "text/plain",
        "text/plain; charset=ISO-8859-1",
        "text/plain; charset=iso-8859-1",
        "text/plain; charset=UTF-8",
    }
)
_WHITE = b"\t\n\x0c\r "
_HTML_START = re.compile(
    rb"<(!DOCTYPE HTML|HTML|HEAD|SCRIPT|IFRAME|H1|DIV|FONT|TABLE|A|STYLE|TITLE|B|BODY|BR|P)[ >]|<!--", re.IGNORECASE
)
_MARKS = (b"\xfe\xff", b"\xff\xfe", b"\xef\xbb\xbf")
_XHTML = b"http://www.w3.org/1999/xhtml"
_MAGIC = (
    (b"%PDF-", "application/pdf"),
    (b"%!PS-Adobe-", "application/postscript"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x1f\x8b\x08", "application/x-gzip"),
    (b"PK\x03\x04", "application/zip"),
)
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")


@dataclass(frozen=True, slots=True)
class ContentType:
    """A media type in lower case ("" when the server named none) and the character set named with it, or "".

    `is_doubtful` marks a text/plain that old servers send for every type that they do not know.
    """

    media_type: str
    charset: str = ""
    is_doubtful: bool = False

    def __str__(self) -> str:
        return f"{self.media_type}; charset={self.charset}" if self.charset else self.media_type


def read_content_type(values: Iterable[str]) -> ContentType:
    """The type that these Content-Type headers mean: the last usable one, with the charset named for its kind."""
    headers = list(values)
    found = ContentType("")
    for header in headers:
        for value in _COMMA.findall(header):
            essence, charset = _parse(value)
            if essence in _UNKNOWN:
                continue
            kept = found.charset if essence == found.media_type else ""
            found = ContentType(essence, charset or kept)
    return ContentType(found.media_type, found.charset, is_doubtful=len(headers) == 1 and headers[0] in _APACHE_BUG)


def sniff_media_type(head: bytes, *, is_scripted: bool = True) -> str:
    """The type that the first bytes of a body of unknown type show; `is_scripted=False` never takes it for HTML."""
    head = head[:SNIFF_BYTES]
    # The standard takes whatever begins with a byte order mark for plain text. Pages begin with one as well.
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip(_WHITE)
    if is_scripted and _HTML_START.match(start):
        return "text/html"
    if is_scripted and start.startswith(b"<?xml"):
        return "application/xhtml+xml" if _XHTML in head else "text/xml"
    for magic, media_type in _MAGIC:
        if (start if magic == b"%PDF-" else head).startswith(magic):
            return media_type
    return sniff_text(head)


def sniff_text(head: bytes) -> str:
    """text/plain, or application/octet-stream when there are bytes that no text has."""
    head = head[:SNIFF_BYTES]
    if head.startswith(_MARKS) or not _BINARY.search(head):
        return "text/plain"
    return "application/octet-stream"


def _parse(value: str) -> tuple[str, str]:
    essence = value.split(";", 1)[0].strip().lower()
    kind, slash, name = essence.partition("/")
    if essence != "*/*" and not (slash and _TOKEN.fullmatch(kind) and _TOKEN.fullmatch(name)):
        return "", ""
    match = _CHARSET.search(value)
    return essence, (match.group(1) or match.group(2) or "").strip().lower() if match else ""
