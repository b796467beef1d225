"""Reading a page: its address, title, links, passages and text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urljoin

from selectolax.lexbor import LexborHTMLParser, LexborNode

from training.agent.address import canonical_url, is_same_site, read_origin, site_origins
from training.agent.task import Site

PASSAGE_MIN = 40
PASSAGE_MAX = 300
URL_MAX = 2_000
TITLE_MAX = 200

_BLOCK_TAGS = (
    "address article aside blockquote body caption center dd details dialog div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 header hr legend li main menu nav ol option p pre section summary "
    "table tbody td tfoot th thead tr ul"
)
_BLOCKS = frozenset(_BLOCK_TAGS.split())
_SKIPPED = [
    "script",
    "style",
    "noscript",
    "template",
    "svg",
    "math",
    "iframe",
    "object",
    "select",
    "textarea",
]
# A hostile page may nest without end: beyond this depth of inline elements a block is no longer told apart.
_DEPTH_MAX = 24
_LINK_SHARE_MAX = 0.5
# A name in the same folder, which is most links of most pages: canonical as it stands.
_PLAIN_HREF = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9_.~-]*")
_BLANKS = re.compile(r"\s+")
_SENTENCE_END = re.compile(r"(?<=[.!?])(?:[\"')\]\u201d\u2019]*)\s+(?=[\"'(\[`\u201c\u2018:]*[A-Z0-9])")


@dataclass(frozen=True, slots=True)
class Link:
    """A link to another page of the site; `url` is canonical."""

    url: str
    text: str


@dataclass(frozen=True, slots=True)
class ParsedPage:
    """What a page says: `passages` are sentences of 40 to 300 characters, `text` has a line per block.

    `canonical` is the address on this site that the page names as its own (`<link rel="canonical">`), or empty.
    """

    url: str
    title: str
    links: tuple[Link, ...]
    passages: tuple[str, ...]
    text: str
    canonical: str = ""

    @property
    def content_digest(self) -> str:
        """SHA-256 hex of what the page says: title, text and links.

        A token, a nonce or a build time in the markup changes the bytes of a page, but not this.
        """
        links = sorted(f"{link.url} {link.text}" for link in self.links)
        return hashlib.sha256("\n".join([self.title, self.text, *links]).encode("utf-8", "replace")).hexdigest()


def parse_page(*, body: bytes, media_type: str, url: str, site: Site) -> ParsedPage:
    """The page at `url` (the final one) read from its body; never raises on broken markup."""
    if media_type == "text/plain":
        # No text of a database holds a NUL.
        text = body.decode("utf-8", "replace").replace("\r\n", "\n").replace("\x00", " ")
        blocks = [(squeeze(block), False) for block in re.split(r"\n\s*\n", text)]
        return _assemble(url=url, title="", links=(), blocks=[block for block in blocks if block[0]])
    tree = LexborHTMLParser(body)
    title_node = tree.css_first("title")
    title = squeeze(title_node.text())[:TITLE_MAX] if title_node else ""
    tree.strip_tags(_SKIPPED)
    links = tuple(_read_links(tree, url=url, site=site))
    blocks = _BlockReader().read(tree.body) if tree.body else []
    canonical = _find_canonical(tree, url=url, site=site)
    return _assemble(url=url, title=title, links=links, blocks=blocks, canonical=canonical)


def squeeze(text: str) -> str:
    """The text with every run of white space as one blank."""
    return _BLANKS.sub(" ", text).strip()


def split_passages(block: str) -> list[str]:
    """Sentences of a block, short ones joined to the next, none above 300 characters, none below 40."""
    passages: list[str] = []
    held = ""
    for sentence in _split_sentences(block):
        joined = f"{held} {sentence}" if held else sentence
        if len(joined) > PASSAGE_MAX:
            passages.append(held)
            joined = sentence
        held = joined
        if len(held) >= PASSAGE_MIN:
            passages.append(held)
            held = ""
    return [passage for passage in passages if len(passage) >= PASSAGE_MIN]


def _split_sentences(block: str) -> Iterable[str]:
    start = 0
    for end in [match.end() for match in _SENTENCE_END.finditer(block)] + [len(block)]:
        sentence = block[start:end].strip()
        start = end
        while len(sentence) > PASSAGE_MAX:
            cut = sentence.rfind(" ", 0, PASSAGE_MAX)
            cut = cut if cut > 0 else PASSAGE_MAX
            yield sentence[:cut]
            sentence = sentence[cut:].strip()
        if sentence:
            yield sentence


def _assemble(
    *, url: str, title: str, links: tuple[Link, ...], blocks: list[tuple[str, bool]], canonical: str = ""
) -> ParsedPage:
    passages: dict[str, None] = {}
    for text, is_navigation in blocks:
        if not is_navigation and len(text) >= PASSAGE_MIN:
            passages.update(dict.fromkeys(split_passages(text)))
    return ParsedPage(url, title, links, tuple(passages), "\n".join(text for text, _ in blocks), canonical)


def _read_links(tree: LexborHTMLParser, *, url: str, site: Site) -> Iterable[Link]:
    base = _find_base(tree, url=url)
    folder = canonical_url(urljoin(base, "."))
    origins = site_origins(site)
    seen: set[str] = {canonical_url(url)}
    hrefs: set[str] = set()
    for node in tree.css("a[href]"):
        href = (node.attributes.get("href") or "").split("#", 1)[0].strip()
        if not href or href in hrefs or len(href) > URL_MAX:
            continue
        hrefs.add(href)
        try:
            target = folder + href if _PLAIN_HREF.fullmatch(href) else canonical_url(urljoin(base, href))
            # The part up to the path is the same for all links of a site, and remembered.
            is_ours = read_origin(target[: target.index("/", len("https://"))]) in origins
        except ValueError:
            continue
        if target in seen or not is_ours:
            continue
        seen.add(target)
        yield Link(target, squeeze(node.text())[:TITLE_MAX])


def _find_canonical(tree: LexborHTMLParser, *, url: str, site: Site) -> str:
    node = tree.css_first('link[rel~="canonical"][href]')
    try:
        target = canonical_url(urljoin(url, node.attributes.get("href") or "")) if node else ""
    except ValueError:
        return ""
    return target if target and is_same_site(target, site=site) else ""


def _find_base(tree: LexborHTMLParser, *, url: str) -> str:
    node = tree.css_first("base[href]")
    try:
        return canonical_url(urljoin(url, node.attributes.get("href") or "")) if node else url
    except ValueError:
        return url


class _BlockReader:
    """Collects the text of a page into blocks: (text, is mostly links), in order.

    A blank line made by <br> or standing in <pre> ends a block as an element does.
    """

    def __init__(self) -> None:
        self.blocks: list[tuple[str, bool]] = []
        self._pieces: list[str] = []
        self._linked = 0
        self._block_id = 0
        self._line_is_blank = True

    def read(self, body: LexborNode) -> list[tuple[str, bool]]:
        """Every block below `body`."""
        for node in body.traverse(include_text=True):
            if node.tag == "br":
                self._end_line()
            elif node.tag == "-text":
                self._add_text(node)
        self._end_block()
        return self.blocks

    def _add_text(self, node: LexborNode) -> None:
        block, in_link = _find_block(node)
        block_id = block.mem_id if block is not None else 0
        if block_id != self._block_id:
            self._end_block()
            self._block_id = block_id
        content = node.text_content or ""
        if block is None or block.tag != "pre":
            self._add_line(content, in_link)
            return
        first, *others = content.split("\n")
        self._add_line(first, in_link)
        for line in others:
            self._end_line()
            self._add_line(line, in_link)

    def _add_line(self, line: str, in_link: bool) -> None:
        words = len(line.strip())
        if words:
            self._line_is_blank = False
            self._linked += words if in_link else 0
        self._pieces.append(line)

    def _end_line(self) -> None:
        if self._line_is_blank:
            self._end_block()
        self._pieces.append(" ")
        self._line_is_blank = True

    def _end_block(self) -> None:
        text = squeeze("".join(self._pieces))
        if text:
            self.blocks.append((text, self._linked > len(text) * _LINK_SHARE_MAX))
        self._pieces.clear()
        self._linked = 0
        self._line_is_blank = True


def _find_block(node: LexborNode) -> tuple[LexborNode | None, bool]:
    """The nearest block above a text, and whether a link lies between."""
    in_link = False
    parent = node.parent
    for _ in range(_DEPTH_MAX):
        if parent is None or parent.tag in _BLOCKS:
            return parent, in_link
        in_link = in_link or parent.tag == "a"
        parent = parent.parent
    return None, in_link
