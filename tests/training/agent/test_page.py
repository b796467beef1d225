"""Reading pages: title, links, passages, text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.agent.errors import AgentError, ErrorCode
from training.agent.reading.blocks import PASSAGE_MAX, PASSAGE_MIN, split_passages
from training.agent.reading.page import ParsedPage, is_same_page, parse_kept, parse_page
from training.agent.reading.text import squeeze
from training.agent.task import Site

SITE = Site("stub", "http://site.example/")


def read(body: str, *, media_type: str = "text/html", url: str = "http://site.example/a/page.html") -> ParsedPage:
    return parse_page(body=body.encode(), media_type=media_type, url=url, site=SITE)


def test_links_are_canonical_on_the_site_and_listed_once() -> None:
    page = read(
        """<a href="b.html#x">B <b>bold</b></a><a href="b.html">again</a><a href="#here">here</a>
        <a href="/c?q=1">C</a><a href="//other.example/">other</a><a href="file:/etc/passwd">file</a>
        <a href="javascript:x()">x</a><a href="page.html">self</a><a>none</a><a href="http://[bad/">bad</a>"""
    )
    assert [(link.url, link.text) for link in page.links] == [
        ("http://site.example/a/b.html", "B bold"),
        ("http://site.example/c?q=1", "C"),
    ]


def test_links_follow_the_base_element() -> None:
    page = read('<base href="/deep/er/"><a href="x.html">x</a>')
    assert [link.url for link in page.links] == ["http://site.example/deep/er/x.html"]


@pytest.mark.parametrize("base", ["javascript:x", "http://[bad/", "data:,", "http://u:p@site.example/"])
def test_an_unusable_base_element_is_ignored(base: str) -> None:
    page = read(f'<base href="{base}"><a href="b.html">b</a>')
    assert [link.url for link in page.links] == ["http://site.example/a/b.html"]


def test_passages_are_prose_of_readable_length() -> None:
    sentence = "Roses are pruned in late winter, before the buds begin to swell."
    page = read(f"<p>Short.</p><p>{sentence} {sentence[:-1]} again!</p><div>Next</div>")
    assert page.passages == (sentence, f"{sentence[:-1]} again!")
    assert page.text.splitlines()[0] == "Short."


def test_scripts_and_styles_are_no_text() -> None:
    page = read("<script>var a = 'never shown to anybody who reads this page';</script><style>p{}</style><p>Yes</p>")
    assert page.text == "Yes"


def test_a_blank_line_ends_a_block_in_breaks_and_in_pre() -> None:
    broken = read("<span>One line<br>goes on&nbsp;here<br>&nbsp;<br>A second block</span>")
    assert broken.text.splitlines() == ["One line goes on here", "A second block"]
    kept = read("<pre>One line\n  goes on here\n\nA second block</pre>")
    assert kept.text.splitlines() == ["One line goes on here", "A second block"]


def test_text_after_an_element_is_a_block_of_its_own() -> None:
    assert read("<div>before<p>inside</p>after</div>").text.splitlines() == ["before", "inside", "after"]


def test_lists_of_links_are_text_but_no_passages() -> None:
    names = "".join(f'<a href="{name}.html">{name}</a> ' for name in ["alpha", "bravo", "charlie"] * 8)
    page = read(f"<p>{names}</p>")
    assert "alpha bravo charlie" in page.text
    assert page.passages == ()


def test_plain_text_is_read_by_paragraphs() -> None:
    page = read("First paragraph of\nthis plain page, wrapped.\n\nSecond one.", media_type="text/plain")
    assert page.passages == ("First paragraph of this plain page, wrapped.",)


@pytest.mark.parametrize("body", ["", "<", "<p", "\x00\x00", "<b>" * 5000 + "deep", "<a href='x'" * 50])
def test_broken_markup_is_read_as_far_as_it_goes(body: str) -> None:
    assert isinstance(read(body), ParsedPage)


@given(st.text(alphabet="ab .!?\"'AB(", max_size=1500))
def test_passages_are_literally_in_their_block(text: str) -> None:
    block = squeeze(text)
    for passage in split_passages(block):
        assert PASSAGE_MIN <= len(passage) <= PASSAGE_MAX
        assert passage in block


def test_a_page_of_500_links_is_read_quickly() -> None:
    body = "".join(f'<p><a href="module_{n}.html">module {n}</a> says a little of number {n}.</p>' for n in range(500))
    read(body)
    durations = []
    for attempt in range(5):
        started = time.thread_time()
        page = read(body.replace("module_", f"module{attempt}_"))
        durations.append(time.thread_time() - started)
    assert len(page.links) == 500
    # 20 ms is the aim on a quiet machine; five times that still catches anything quadratic.
    assert min(durations) < 0.1


@pytest.mark.parametrize(
    ("href", "url"),
    [
        (" \n/line\nbreak.html ", "http://site.example/linebreak.html"),
        ("c\\d.html", "http://site.example/a/c/d.html"),
        ("\\\\site.example\\x", "http://site.example/x"),
        ("HTTP://SITE.example/Up", "http://site.example/Up"),
        ("?q=1\\2", "http://site.example/a/page.html?q=1\\2"),
        ("?a=1&copy=2&amp;lang=en", "http://site.example/a/page.html?a=1&copy=2&lang=en"),
        ("../up.html#part", "http://site.example/up.html"),
        ("//site.example/pr", "http://site.example/pr"),
    ],
)
def test_an_address_is_read_as_browsers_read_it(href: str, url: str) -> None:
    assert [link.url for link in read(f'<a href="{href}">x</a>').links] == [url]


def test_frames_areas_and_refreshes_lead_on() -> None:
    page = read(
        """<meta http-equiv="refresh" content="3; URL='next.html'"><frameset><frame src=toc.html name=toc>
        <frame src="main.html" title="Manual"></frameset><map><area href="/north.html" alt="North"></map>
        <iframe src="/inner.html"></iframe><iframe src="//ads.example/"></iframe>"""
    )
    assert [(link.url, link.text) for link in page.links] == [
        ("http://site.example/a/next.html", ""),
        ("http://site.example/a/toc.html", "toc"),
        ("http://site.example/a/main.html", "Manual"),
        ("http://site.example/north.html", "North"),
        ("http://site.example/inner.html", ""),
    ]


@pytest.mark.parametrize(
    ("link", "name"),
    [
        ('<a href="x"><img src="i.png" alt="Open the shed"></a>', "Open the shed"),
        ('<a href="x" aria-label="Open the shed"><svg><path/></svg></a>', "Open the shed"),
        ('<a href="x" title="Open the shed"> </a>', "Open the shed"),
        ('<a href="x" title="Title">Shown</a>', "Shown"),
    ],
)
def test_a_link_without_text_is_called_what_describes_it(link: str, name: str) -> None:
    assert [each.text for each in read(link).links] == [name]


def test_an_unclosed_link_ends_where_the_next_begins() -> None:
    page = read('<a href="x">One <a href="y">Two</a> three')
    assert [link.text for link in page.links] == ["One", "Two"]


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        ('<meta name="robots" content="noindex, nofollow">', "text/html"),
        ('<META NAME=LeaLife CONTENT="none">', "text/html"),
        ("", "text/html; charset=utf-8; robots=nofollow,noindex"),
    ],
)
def test_what_a_site_forbids_is_known(head: str, media_type: str) -> None:
    page = read(f'{head}<p>Text</p><a href="x">x</a>', media_type=media_type)
    assert (page.noindex, page.links, page.text) == (True, (), "Text\nx")
    open_page = read('<meta name="otherbot" content="none"><a href="x">x</a><a rel="ugc nofollow" href="trap">y</a>')
    assert (open_page.noindex, [link.text for link in open_page.links]) == (False, ["x"])


def test_a_page_to_keep_is_none_when_it_may_not_be_kept_or_is_too_large() -> None:
    def keep(body: str) -> ParsedPage | None:
        return parse_kept(body=body.encode(), media_type="text/html", url="http://site.example/", site=SITE)

    assert keep("<p>Text") == read("<p>Text", url="http://site.example/")
    assert keep("<meta name=robots content=noindex><p>Text") is None
    assert keep("<b>" * 300_000) is None
    with pytest.raises(AgentError, match="more than 250,000 tags") as refused:
        read("<b>" * 300_000)
    assert refused.value.code == ErrorCode.TOO_LARGE


@pytest.mark.parametrize(
    ("body", "needs_scripts", "is_empty"),
    [
        (
            '<title>App</title><noscript>Enable it.</noscript><div id=root></div><script src="m.js"></script>',
            True,
            True,
        ),
        ("<app-root>Loading \u2026</app-root><script>start()</script>", True, False),
        ('<script src="m.js"></script><p>Text</p><a href="x">x</a>', True, False),
        ('<script src="m.js"></script><p>This site sets cookies to know you again next time.</p>', True, False),
        ('<script src="m.js"></script><p>' + "This page says enough by itself. " * 8, False, False),
        ('<p>Text</p><a href="x">x</a>', False, False),
        ("<p></p>", False, True),
        ("", False, True),
    ],
)
def test_a_shell_is_distinguished_from_an_empty_page(body: str, needs_scripts: bool, is_empty: bool) -> None:
    page = read(body)
    assert (page.needs_scripts, page.is_empty) == (needs_scripts, is_empty)


def test_short_rows_entries_and_items_can_be_quoted() -> None:
    page = read(
        """<table><tr><th>Default port<td>5432<tr><td>Vendor<td>A firm in the northern valley of the river
        </table><dl><dt>Maximum length<dd><p>63 bytes</p><dt>Mode<dd>A description that is a passage of its own.</dl>
        <table><tr><td>Long
        <td>This sentence is a passage all of its own. And this is another, about as long as that.</table>
        <ul><li>Retention: 90 days<li><a href=x>Only a link</a><li>Yes</ul><p>Too short.</p>"""
    )
    assert page.passages == (
        "Default port 5432",
        "Vendor A firm in the northern valley of the river",
        "Maximum length 63 bytes",
        "A description that is a passage of its own.",
        "This sentence is a passage all of its own.",
        "And this is another, about as long as that.",
        "Retention: 90 days",
    )
    text = squeeze(page.text)
    assert all(passage in text for passage in page.passages)


def test_invisible_characters_are_left_out_and_accents_composed() -> None:
    page = read(
        "<title>Wid&shy;gets</title><p>The reten&shy;tion of pur&#8203;ple \ufeffwid\u2060gets: e<b>\u0301</b></p>"
    )
    assert (page.title, page.text) == ("Widgets", "The retention of purple widgets: \u00e9")


@pytest.mark.parametrize(
    ("letter", "mark"),
    [
        ("\u7d2b", "\u3002"),
        ("\u7d2b", "\uff01"),
        ("\ubcf4\uad00 ", ". "),
        ("\u0421\u0440\u043e\u043a ", ". "),
        ("\u0930\u0916\u0928\u0947 ", "\u0964 "),
        ("\u0645\u062f\u0629 ", "\u061f "),
        ("\u00c9t\u00e9 ", ". "),
    ],
)
def test_sentences_end_in_every_script(letter: str, mark: str) -> None:
    sentence = f"{letter * 14}{mark}"
    found = split_passages(squeeze(sentence * 2))
    assert found == [squeeze(sentence)] * 2


@pytest.mark.parametrize(
    "said",
    ["„Das ist so, wie es immer war, und bleibt.“", "« Oui, c’est vrai et je le pense encore. »"],
)
def test_a_quoted_sentence_ends_with_its_quotation_mark(said: str) -> None:
    before, after = "He said it loudly before all the people.", "Then he went home to sleep for a long time."
    assert split_passages(f"{before} {said} {after}") == [before, said, after]


def test_a_short_last_sentence_belongs_to_the_one_before_it() -> None:
    long = "The database listens on all addresses of the host."
    assert split_passages(f"{long} Its port is 5432.") == [f"{long} Its port is 5432."]
    assert split_passages(f"{long[:-1] * 5}. Its port is 5432. Long as it is, this sentence stands alone. So.")[1:] == [
        "Its port is 5432. Long as it is, this sentence stands alone. So."
    ]


def test_xhtml_closes_what_says_so_and_holds_text_in_cdata() -> None:
    head = '<html><head><title>T</title><script src="x"/></head>'
    body = f'{head}<body><a id="x"/><div/><p>One<![CDATA[ < two]]></p></body></html>'
    page = read(body, media_type="application/xhtml+xml; charset=utf-8")
    assert (page.title, page.text) == ("T", "One < two")
    assert read(body).text == ""


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('<p title="a > b">x', "x"),
        ("<p title=a>x</p", "x"),
        ("<!-->x<!-- > y -->z", "xz"),
        ("<svg><title>no</title><style/><foreignObject><p>no</p></foreignObject></svg>x", "x"),
        ("<svg><g>no<p>x", "x"),
        ("<select><option>no</select>x", "x"),
        ("<table><tr><td><select><option>no<td>x</table>", "x"),
        ("1 < 2 &lt; 3 &amp;lt; &copy; &#x41;&#0;", "1 < 2 < 3 &lt; \u00a9 A\ufffd"),
        ("<script>if (a < b) { '</p>' }</SCRIPT >x", "x"),
        ("<textarea><p>no</textarea><iframe>no</iframe><template><p>no</template>x", "x"),
        ("<plaintext><p>x", "<p>x"),
        ("a\x00b", "ab"),
    ],
)
def test_markup_is_read_as_browsers_read_it(body: str, text: str) -> None:
    assert read(body).text == text


def test_a_token_or_a_nonce_in_the_markup_leaves_the_content_digest_alone() -> None:
    one = read('<script nonce="a1">f()</script><input type="hidden" value="t1"><p>Open daily.</p><!-- built 9:01 -->')
    two = read('<script nonce="b2">f()</script><input type="hidden" value="t2"><p>Open daily.</p><!-- built 9:02 -->')
    other = read("<p>Open on Mondays.</p>")
    assert one.content_digest == two.content_digest != other.content_digest


def test_one_page_under_two_addresses_has_one_content_digest() -> None:
    texts = [
        f'<title>Hours</title><a href="/hours">Hours</a><a href="/out?csrf={token}">Out</a>'
        f"<p>Open daily. You are at {address}.</p>"
        for token, address in ((1, "/hours"), (2, "/hours?from=mail"))
    ]
    one, two = (
        parse_page(body=text.encode(), media_type="text/html", url=f"http://site.example{address}", site=SITE)
        for text, address in zip(texts, ("/hours", "/hours?from=mail"), strict=True)
    )
    assert one.content_digest == two.content_digest


def test_pages_that_name_one_address_are_one_page_only_when_they_say_the_same() -> None:
    head = '<link rel="canonical" href="/plain">'
    said = "".join(f"<p>The garden of number {number} is open daily from nine to five.</p>" for number in range(4))
    one, two = read(f"{head}{said}<p>You came here from the mail of Monday morning.</p>"), read(f"{head}{said}")
    claim = read(f"{head}<p>Nothing of what the other page says stands on this page at all.</p>")
    assert one.content_digest != two.content_digest
    assert is_same_page(one, two)
    assert not is_same_page(one, claim)


def test_a_page_names_its_own_address_on_this_site_only() -> None:
    assert read('<link rel="canonical" href="../one.html">').canonical == "http://site.example/one.html"
    assert read('<link rel="canonical" href="http://other.example/">').canonical == ""
    assert read("<p>none</p>").canonical == ""


def test_links_stay_below_the_base_path_where_the_host_says_so() -> None:
    body = b'<a href="/docs/a">a</a><a href="b">b</a><a href="/shop/cart?add=1">cart</a><a href="/other/">other</a>'
    site = Site("docs", "http://docs.example/docs/", stay_below_base_path=True)
    page = parse_page(body=body, media_type="text/html", url="http://docs.example/docs/", site=site)
    assert [link.url for link in page.links] == ["http://docs.example/docs/a", "http://docs.example/docs/b"]


def test_routes_of_a_scripted_page_are_links() -> None:
    body = b'<a href="#/orders">orders</a><a href="#!/contact">contact</a><a href="#top">top</a>'
    page = parse_page(
        body=body, media_type="text/html", url="http://app.example/", site=Site("a", "http://app.example/")
    )
    assert [link.url for link in page.links] == ["http://app.example/#/orders", "http://app.example/#!/contact"]
