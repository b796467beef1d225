"""The links of a page: their targets and their texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

from training.agent.reading.text import clean_text
from training.agent.task import Site
from training.agent.web.address import canonical_url, drop_fragment, is_same_site

# How many links of a page are read. A crawl stores 2,000 addresses of a site, and a run visits only a few.
LINKS_MAX = 10_000
URL_MAX = 2_000
NAME_MAX = 200
# A name in the same folder, which is most links of most pages: canonical as it stands.
_PLAIN_HREF = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9_.~-]*")
_LINE_BREAKS = re.compile(r"[\t\r\n]")
# Stripped from both ends of an address, as browsers do: control characters and the blank.
_PADDING = "".join(map(chr, range(0x21)))
# The HTML standard's "shared declarative refresh steps".
_REFRESH = re.compile(
    r"""\s*(?P<seconds>\d{1,9}|(?=\.))[\d.]*\s*[;,\s]\s*(?:url\s*=\s*)?(?:"(?P<double>[^"]*)|'(?P<single>[^']*)|(?P<bare>.*))""",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Link:
    """A link to another page of the site; `url` is canonical."""

    url: str
    text: str


@dataclass(slots=True)
class _Found:
    """A link as it is in the page: its text so far, and the name to use when it has no text."""

    text: str
    name: str


class LinkReader:
    """Collects the links of a page from its tags; of several links to one address, the first counts."""

    def __init__(self) -> None:
        self.base = ""
        self.canonical = ""
        self._found: dict[str, _Found] = {}
        self._open: _Found | None = None

    def start(self, attributes: Mapping[str, str]) -> None:
        """An <a> opens. Without an address, or marked as not to be followed, it is not collected."""
        name = attributes.get("aria-label") or attributes.get("title", "")
        self._open = self._add(attributes.get("href", ""), name, attributes) or _Found("", "")

    def end(self) -> None:
        self._open = None

    def add_text(self, text: str) -> None:
        """Text inside the page, of the open link if there is one."""
        if self._open is not None and len(self._open.text) < NAME_MAX * 2:
            self._open.text += text[: NAME_MAX * 2]

    def add_image(self, attributes: Mapping[str, str]) -> None:
        """A picture, which names the open link when nothing else does."""
        if self._open is not None:
            self._open.name = self._open.name or attributes.get("alt", "") or attributes.get("title", "")

    def add_area(self, attributes: Mapping[str, str]) -> None:
        """A part of an image map."""
        name = attributes.get("alt") or attributes.get("aria-label") or attributes.get("title", "")
        self._add(attributes.get("href", ""), name, attributes)

    def add_frame(self, attributes: Mapping[str, str]) -> None:
        """A frame, whose page can be visited like a link."""
        self._add(attributes.get("src", ""), attributes.get("title") or attributes.get("name", ""), attributes)

    def add_refresh(self, content: str) -> None:
        """The address of a refresh (`5; url=next.html`)."""
        self._add(split_refresh(content)[1], "", {})

    def read_links(self, *, url: str, site: Site) -> Iterator[Link]:
        """The links to other pages of the site, first come first."""
        base = resolve(self.base, base=url) or url
        folder = canonical_url(urljoin(base, "."))
        seen = {canonical_url(url)}
        for href, found in self._found.items():
            target = folder + href if _PLAIN_HREF.fullmatch(href) else resolve(href, base=base)
            if target and target not in seen and is_same_site(target, site=site):
                seen.add(target)
                yield Link(target, (clean_text(found.text) or clean_text(found.name))[:NAME_MAX])

    def _add(self, href: str, name: str, attributes: Mapping[str, str]) -> _Found | None:
        href = clean_href(href)
        if not href or len(href) > URL_MAX or "nofollow" in attributes.get("rel", "").lower().split():
            return None
        known = self._found.get(href)
        if known is not None or len(self._found) >= LINKS_MAX:
            return None
        self._found[href] = _Found("", name[: NAME_MAX * 2])
        return self._found[href]


def clean_href(href: str) -> str:
    """An address as a browser reads it: without line breaks, "\\" as "/". Empty for a fragment that is no route."""
    address, hash_mark, route = drop_fragment(_LINE_BREAKS.sub("", href.strip(_PADDING))).partition("#")
    path, mark, query = address.partition("?")
    return path.replace("\\", "/") + mark + query + hash_mark + route


def split_refresh(content: str) -> tuple[float, str]:
    """After how many seconds a page sends on, and where to as it is written: "" when it does not."""
    match = _REFRESH.match(content)
    if not match:
        return 0.0, ""
    return float(match["seconds"] or 0), (match["double"] or match["single"] or match["bare"] or "").strip()


def resolve(href: str, *, base: str) -> str:
    """The canonical address that a link leads to from `base`; empty when it leads to no page."""
    try:
        return canonical_url(urljoin(base, clean_href(href))) if href else ""
    except ValueError:
        return ""
