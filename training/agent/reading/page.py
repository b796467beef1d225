"""Reading a page: its address, title, links, passages and text."""

from __future__ import annotations

import hashlib
from collections.abc import Set
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from training.agent.errors import AgentError
from training.agent.reading.blocks import BLOCK_TAGS, BlockReader, read_plain
from training.agent.reading.charset import PLAIN_TEXT, XHTML, bare_type, decode_body, read_forbidden, read_robots_rules
from training.agent.reading.links import Link, LinkReader, resolve
from training.agent.reading.markup import Tag, read_markup
from training.agent.reading.passages import Section
from training.agent.reading.text import clean_text
from training.agent.task import Site
from training.agent.web.address import is_same_site

TITLE_MAX = 200
_BOLD_TAGS = frozenset({"b", "strong"})
# Robots meta tags that apply to this agent.
_ROBOTS_NAMES = frozenset({"robots", "lealife"})
# A shell has almost no text until its scripts have run: "Loading …", a line on cookies, a copyright.
_SHELL_TEXT_MAX = 200
SHELL_SAYS_LITTLE = (
    "Without its scripts it has almost no text. The browser engine \u201cchromium\u201d runs them, "
    "\u201chttp\u201d does not."
)


@dataclass(frozen=True, slots=True)
class ParsedPage:
    """The content of a page: `passages` can be quoted, `text` has a line per block, `sections` have its headings.

    A passage is sentences of 40 to 300 characters, or a row, an entry or a list item that may be shorter.
    `canonical` is the address on this site that the page names as its own (`<link rel="canonical">`), or empty.
    `noindex`: the site asks that nothing of the page be stored. `needs_scripts`: it has almost no text, and scripts
    that may write the rest.
    """

    url: str
    title: str
    links: tuple[Link, ...]
    passages: tuple[str, ...]
    text: str
    canonical: str = ""
    noindex: bool = False
    needs_scripts: bool = False
    sections: tuple[Section, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.text and not self.links

    @property
    def content_digest(self) -> str:
        """SHA-256 hex of the page's content: title, text and links.

        A token, a nonce or a build time in the markup changes the bytes of a page, but not this digest. Queries of
        links are left out (they carry tokens). So are links to the page itself, and its own address in its text: one
        page under several addresses has one digest.
        """
        own = {_drop_query(self.url), _drop_query(self.canonical)}
        targets = [(_drop_query(link.url), link.text) for link in self.links]
        links = sorted({f"{target} {text}" for target, text in targets if target not in own})
        said = f"{self.title}\n{self.text}"
        for address in _spell_address(self.url):
            said = said.replace(address, "")
        return hashlib.sha256("\n".join([said, *links]).encode("utf-8", "replace")).hexdigest()


def is_same_page(page: ParsedPage, other: ParsedPage) -> bool:
    """Whether two different readings are of one page: both name one address, and most passages are equal.

    A canonical link is only a hint: without the same words it proves nothing.
    """
    if (page.canonical or page.url) != (other.canonical or other.url):
        return False
    shared = len(set(page.passages).intersection(other.passages))
    return bool(shared) and 2 * shared >= max(len(page.passages), len(other.passages))


def _drop_query(url: str) -> str:
    return url.partition("?")[0].partition(";")[0]


def _spell_address(url: str) -> list[str]:
    """The forms in which a page may print its own address, longest first: in full, path and query, path."""
    parts = urlsplit(url)
    path, query = parts.path, f"?{parts.query}" if parts.query else ""
    spellings = {url, f"{parts.netloc}{path}", path + query, path, unquote(path)}
    return sorted((text for text in spellings if len(text) > 1), key=lambda text: (-len(text), text))


def parse_page(*, body: bytes, media_type: str, url: str, site: Site) -> ParsedPage:
    """The page at `url` (the final address), read from its body; broken markup is read as far as possible.

    `media_type` as the browser gave it, with the character set and what the headers forbid. Time and memory grow with
    the size of the body alone. Raises AgentError too_large for more tags, lines or text than an ordinary page has.
    """
    text = decode_body(body, media_type=media_type)
    forbidden = read_forbidden(media_type)
    if bare_type(media_type) == PLAIN_TEXT:
        blocks = read_plain(text)
        said = "\n".join(blocks.lines)
        return ParsedPage(
            url,
            "",
            (),
            tuple(blocks.passages),
            said,
            noindex="noindex" in forbidden,
            sections=blocks.sections.close(),
        )
    reader = _PageReader(forbidden)
    for piece in read_markup(text, is_xml=bare_type(media_type) == XHTML):
        reader.read(piece)
    return reader.close(url=url, site=site)


def parse_kept(*, body: bytes, media_type: str, url: str, site: Site) -> ParsedPage | None:
    """As `parse_page`, for callers that store the content: None when the page says noindex or is too large."""
    try:
        page = parse_page(body=body, media_type=media_type, url=url, site=site)
    except AgentError:
        return None
    return None if page.noindex else page


class _PageReader:
    """Puts a page together from its tags and text."""

    def __init__(self, forbidden: Set[str]) -> None:
        self._forbidden = set(forbidden)
        self._blocks = BlockReader()
        self._links = LinkReader()
        self._title = ""
        self._in_title = False
        self._has_scripts = False
        # Whether the text that comes next is a link's, or bold, with no block of its own between.
        self._in_link = self._in_bold = False

    def read(self, piece: Tag | str) -> None:
        if isinstance(piece, Tag):
            self._read_tag(piece)
        elif self._in_title:
            self._title = self._title or clean_text(piece)[:TITLE_MAX]
        else:
            self._links.add_text(piece)
            self._blocks.add_text(piece, in_link=self._in_link, in_bold=self._in_bold)

    def close(self, *, url: str, site: Site) -> ParsedPage:
        self._blocks.close()
        text = "\n".join(self._blocks.lines)
        links = () if "nofollow" in self._forbidden else tuple(self._links.read_links(url=url, site=site))
        canonical = resolve(self._links.canonical, base=url)
        return ParsedPage(
            url=url,
            title=self._title,
            links=links,
            passages=tuple(self._blocks.passages),
            text=text,
            canonical=canonical if canonical and is_same_site(canonical, site=site) else "",
            noindex="noindex" in self._forbidden,
            needs_scripts=self._has_scripts and len(text) <= _SHELL_TEXT_MAX,
            sections=self._blocks.sections.close(),
        )

    def _read_tag(self, tag: Tag) -> None:
        name = tag.name
        if name in BLOCK_TAGS:
            self._in_link = self._in_bold = False
            if tag.is_end:
                self._blocks.end_block(name)
            else:
                self._blocks.start_block(name)
        elif name == "a":
            self._in_link = not tag.is_end
            if tag.is_end:
                self._links.end()
            else:
                self._links.start(tag.attributes)
        elif name in _BOLD_TAGS:
            self._in_bold = not tag.is_end
        elif name == "title":
            self._in_title = not tag.is_end
        elif not tag.is_end:
            self._read_start(name, tag)

    def _read_start(self, name: str, tag: Tag) -> None:
        attributes = tag.attributes
        if name == "br":
            self._blocks.end_line()
        elif name == "img":
            self._links.add_image(attributes)
        elif name == "area":
            self._links.add_area(attributes)
        elif name in ("frame", "iframe"):
            self._links.add_frame(attributes)
        elif name == "script":
            self._has_scripts = True
        elif name == "base":
            self._links.base = self._links.base or attributes.get("href", "")
        elif name == "link" and "canonical" in attributes.get("rel", "").lower().split():
            self._links.canonical = self._links.canonical or attributes.get("href", "")
        elif name == "meta":
            name = attributes.get("name") or attributes.get("http-equiv", "")
            self._read_meta(name, attributes.get("content", ""))

    def _read_meta(self, name: str, content: str) -> None:
        if name.lower() in _ROBOTS_NAMES:
            self._forbidden |= read_robots_rules(content)
        elif name.lower() == "refresh":
            self._links.add_refresh(content)
