"""Pages made to cost their reader dearly, and a process of its own that reads one and says what it cost."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

SIZE = 5_000_000


def fill(piece: str, *, before: str = "", after: str = "", size: int = SIZE) -> bytes:
    """A page of almost 5 MB of one piece, `{n}` in it numbered."""
    room = size - len(before) - len(after)
    if "{n}" in piece:
        count = room // (len(piece) + 4)
        content = "".join(piece.replace("{n}", str(number)) for number in range(count))
    else:
        content = piece * (room // len(piece.encode()))
    return f"{before}{content}{after}".encode()[:SIZE]


BOMBS: dict[str, Callable[[], bytes]] = {
    "unclosed_b_that_differ": lambda: fill("<b id={n}>x"),
    "unclosed_a": lambda: fill("<a href={n}>x"),
    "formatting_in_paragraphs": lambda: fill("<p><b><i><u>x"),
    "font_over_tables": lambda: fill("<font size={n}><table><tr><td></font>x"),
    "nested_div_with_text": lambda: fill("<div>x"),
    "nested_table": lambda: fill("<table><tr><td>"),
    "nested_list": lambda: fill("<ul><li>fact {n}"),
    "short_items": lambda: fill("<li>fact no. {n}", before="<ul>"),
    "svg_islands": lambda: fill("<svg><foreignObject><p>"),
    "nested_select": lambda: fill("<select><option>"),
    "attributes_of_one_tag": lambda: fill(" a{n}=1", before="<p", after=">text"),
    "attributes_of_one_link": lambda: fill(" a{n}=1", before="<a", after=" href=x>text"),
    "attributes_of_many_bodies": lambda: fill("<body a{n}=1>"),
    "long_value": lambda: fill("a", before='<a href="', after='">x</a>'),
    "unclosed_quotes": lambda: fill("<a href='x"),
    "equal_signs": lambda: fill("=", before="<a "),
    "equal_signs_and_quotes": lambda: fill("='", before='<a b="'),
    "unclosed_tags": lambda: fill("<a "),
    "unclosed_comments": lambda: fill("<!--"),
    "plaintext": lambda: fill("<plaintext>"),
    "frames": lambda: fill("<frame src={n}>", before="<frameset>"),
    "script_ends": lambda: fill("</script", before="<script>"),
    "titles": lambda: fill("<title>x</title>"),
    "references": lambda: fill("&amp;"),
    "long_number": lambda: fill("9", before="&#"),
    "one_text": lambda: fill("word "),
    "wide_letters": lambda: fill("word " * 50 + "\U0001f600 "),
    "ligatures": lambda: fill("\ufdfa"),
    "combining": lambda: fill("\u0301", before="e"),
    "full_stops": lambda: fill("\u3002"),
    "ideographs": lambda: fill("\u6771"),
    "lines_in_pre": lambda: fill("\n", before="<pre>"),
    "paragraphs_in_pre": lambda: fill("x\n\n", before="<pre>"),
    "paragraphs": lambda: fill("<p>x"),
    "links": lambda: fill('<a href="/some/page/{n}.html">page {n}</a>'),
    "cut_declared": lambda: fill("<meta charset"),
    # As much as is read at all.
    "most_sentences": lambda: fill("A sentence of forty letters no. {n} \U0001f600 stands here. ", size=2_000_000),
    "most_blocks": lambda: fill("<p>\U0001f600{n}", size=2_700_000),
    "most_links": lambda: fill("<a href=/{n}>\U0001f600{n}</a>", size=2_600_000),
}
PLAIN_BOMBS: dict[str, Callable[[], bytes]] = {
    "plain_lines": lambda: fill("\n"),
    "plain_paragraphs": lambda: fill("x\n\n"),
    "plain_wide": lambda: fill("word " * 50 + "\U0001f600 "),
    "plain_most": lambda: fill("A sentence of forty letters stands here. \U0001f600\n\n", size=1_900_000),
    "plain_utf_16": lambda: b"\xff\xfe" + fill("x\x00 \x00"),
}


def measure(name: str, body: bytes) -> dict[str, object]:
    """Reads the page and says what came of it, in seconds and in bytes of memory at its peak beyond the page."""
    from training.agent.errors import AgentError
    from training.agent.reading.page import parse_page
    from training.agent.task import Site

    site = Site("s", "http://site.example/")
    media_type = "text/plain" if name in PLAIN_BOMBS else "text/html"

    def read(content: bytes) -> str:
        try:
            page = parse_page(body=content, media_type=media_type, url="http://site.example/", site=site)
        except AgentError as error:
            return str(error.code)
        return f"{len(page.text)} characters, {len(page.passages)} passages, {len(page.links)} links"

    read(b"<title>x</title><p>Warm. <a href=x>x</a>")
    # The peak starts from here.
    Path("/proc/self/clear_refs").write_text("5")
    before, began = _read_peak(), time.process_time()
    said = read(body)
    return {"name": name, "said": said, "seconds": time.process_time() - began, "bytes": _read_peak() - before}


def _read_peak() -> int:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    for chosen in sys.argv[1:]:
        print(json.dumps(measure(chosen, (BOMBS | PLAIN_BOMBS)[chosen]())), flush=True)  # noqa: T201  read by the test
