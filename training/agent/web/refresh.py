"""Pages that lead to another one without a redirect: <meta http-equiv="refresh"> and the Refresh header."""

from __future__ import annotations

from urllib.parse import urljoin

from training.agent.reading.charset import XHTML, bare_type, decode_body
from training.agent.reading.links import clean_href, split_refresh
from training.agent.reading.markup import Tag, read_markup

# In seconds. A page that refreshes later than this is meant to be read.
REFRESH_WITHIN_S = 10.0
# Only the beginning of a page is searched, in bytes: what sends on stands in its head.
REFRESH_BYTES = 32_000


def find_refresh(body: bytes, *, url: str, media_type: str = "text/html", header: str = "") -> str:
    """The address that the page at `url` sends its readers on to at once, or "" when it does not.

    `media_type` with the character set that the server named, if it did.
    """
    if header and (target := _join(url, read_refresh(header))):
        return target
    head = decode_body(body[:REFRESH_BYTES], media_type=media_type)
    base = target = ""
    for piece in read_markup(head, is_xml=bare_type(media_type) == XHTML):
        if not isinstance(piece, Tag):
            continue
        said = piece.attributes
        if piece.name == "base":
            base = base or said.get("href", "")
        elif piece.name == "meta" and said.get("http-equiv", "").strip().lower() == "refresh":
            target = target or read_refresh(said.get("content", ""))
    return _join(_join(url, base) or url, target)


def read_refresh(content: str) -> str:
    """The target of a refresh that comes within ten seconds, as it is written; "" for a later one or none."""
    seconds, target = split_refresh(content)
    return target if seconds <= REFRESH_WITHIN_S else ""


def _join(url: str, target: str) -> str:
    try:
        joined = urljoin(url, clean_href(target)) if target else ""
    except ValueError:
        return ""
    # A script as the target is ignored, as browsers do.
    return joined if joined.lower().startswith(("http://", "https://")) else ""
