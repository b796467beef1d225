"""Passages: how a page is cut along its headings, and what counts as a heading."""

from __future__ import annotations

from training.agent.reading.page import parse_page
from training.agent.reading.passages import LEAD_WORDS, WORDS_MAX, Passage, cut_passages
from training.agent.task import Site

SITE = Site("garden", "http://site.example/")


def cut(markup: str) -> tuple[Passage, ...]:
    """The passages of a page."""
    page = parse_page(body=markup.encode(), media_type="text/html", url="http://site.example/", site=SITE)
    return cut_passages(page.sections)


def test_a_passage_carries_the_headings_above_it() -> None:
    passages = cut("<h1>Garden</h1><h2>Roses</h2><p>Prune them in winter.</p><h2>Trees</h2><p>Leave them alone.</p>")
    assert passages == (
        Passage("Garden › Roses", "Prune them in winter."),
        Passage("Garden › Trees", "Leave them alone."),
    )


def test_a_paragraph_in_bold_is_a_heading_and_stays_text() -> None:
    first, second = cut(
        "<h1>Questions</h1><p><b>(1) When are roses pruned?</b></p><p>In late winter.</p>"
        "<p><strong>(2) How tall do <i>trees</i> grow?</strong></p><p>Some thirty metres.</p>"
    )
    assert first == Passage("Questions › (1) When are roses pruned?", "(1) When are roses pruned?\nIn late winter.")
    assert second.heading == "Questions › (2) How tall do trees grow?"


def test_a_bold_word_makes_no_heading() -> None:
    [passage] = cut("<h1>Roses</h1><p><b>Never</b> prune them in summer.</p><p>Winter is better.</p>")
    assert passage == Passage("Roses", "Never prune them in summer.\nWinter is better.")


def test_bold_that_is_never_closed_ends_with_its_paragraph() -> None:
    passages = cut("<h1>Roses</h1><p><b>Pruning<p>They are pruned in winter.</p><p>Not in summer.</p>")
    assert [passage.heading for passage in passages] == ["Roses › Pruning"]


def test_a_list_item_that_begins_in_bold_is_an_entry_under_that_term() -> None:
    words = " ".join(f"word{number}" for number in range(60))
    passages = cut(f"<h1>Limits</h1><ul><li><p><b>Most columns</b></p><p>It is 2000. {words}</p></li></ul>")
    assert passages[0].heading == "Limits › Most columns"
    assert passages[0].text.startswith("Most columns It is 2000.")


def test_a_long_section_is_cut_and_a_short_lead_stands_in_both_parts() -> None:
    long = " ".join(["leaf"] * (WORDS_MAX - 10))
    lead = "These are the tools that you need:"
    assert len(lead.split()) <= LEAD_WORDS
    first, second = cut(f"<p>{long}</p><p>{lead}</p><p>{long}</p>")
    assert first.text.endswith(lead)
    assert second.text.startswith(lead)
    assert all(len(line.split()) <= WORDS_MAX for passage in (first, second) for line in passage.text.split("\n"))


def test_a_row_keeps_its_cells_where_one_is_empty_and_says_whether_it_names_columns() -> None:
    table = "<table><tr><th><p>Rose</p></th><th>Height</th></tr><tr><td>Moss</td><td></td></tr></table>"
    page = parse_page(
        body=f"<h1>Roses</h1>{table}".encode(), media_type="text/html", url="http://site.example/", site=SITE
    )
    [section] = page.sections
    assert [(block.cells, block.is_head) for block in section.blocks] == [
        (("Rose", "Height"), True),
        (("Moss", ""), False),
    ]
