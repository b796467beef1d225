"""Kinds of tasks: what each makes of a page, and what it leaves alone."""

from __future__ import annotations

import pytest

from learning.curriculum.choosing import PROPOSERS, choose_proposals
from learning.curriculum.claims import Claim, Place
from learning.curriculum.kinds.phrases import find_key_phrases
from learning.curriculum.kinds.proposals import PageText, Proposed
from training.agent.reading.page import parse_page
from training.agent.reading.words import find_phrases, fold
from training.agent.task import Site

MANUAL = """<html><head><title>knit-cast(1)</title></head><body>
<h1>knit-cast(1) Manual Page</h1><h2>NAME</h2><p>knit-cast - Create a row of stitches</p>
<h2>SYNOPSIS</h2><p>knit cast [--depth n] and again knit cast --loose</p>
<h2>OPTIONS</h2><dl><dt>-d</dt><dt>--depth &lt;n&gt;</dt>
<dd>Cast as many rows as this number says and then stop the work. Defaults to 12.</dd>
<dt>knit.tension</dt><dd>How tight the stitches of a row are when they are cast on. The default is 0.5.</dd></dl>
<h2>Turning the heel of a sock</h2><p>A heel needs short rows. The short rows meet the gusset stitches, and the gusset
stitches of the heel carry the short rows. To close the toe with a needle, run a thread through the last loops.</p>
<table><tr><th>Yarn</th><th>Default size</th></tr><tr><td>merino</td><td>4 mm</td></tr>
<tr><td>alpaca</td><td>5 mm</td></tr><tr><td>linen</td><td>Yes</td></tr></table></body></html>"""


def read(markup: str) -> PageText:
    url = "http://site.example/page"
    site = Site("site", "http://site.example/")
    return PageText(url, parse_page(body=markup.encode(), media_type="text/html", url=url, site=site))


def propose(kind: str, markup: str = MANUAL) -> dict[str, Proposed]:
    return {each.prompt: each for each in PROPOSERS[kind](read(markup))}


def test_an_option_is_asked_for_with_its_command():
    proposed = propose("definition")["What does the option --depth of knit cast do?"]
    assert proposed.expected_text == "Cast as many rows as this number says and then stop the work. Defaults to 12."
    assert proposed.claim == Claim(named="--depth", subject="knit cast")


def test_a_setting_is_asked_for_by_its_name():
    assert "What is knit.tension for?" in propose("definition")


def test_a_default_is_expected_in_the_words_of_the_page():
    values = propose("value")
    assert values["What does the option --depth of knit cast default to?"].expected_text == "Defaults to 12"
    assert values["What is the default of knit.tension?"].expected_text == "default is 0.5"


def test_a_cell_of_a_table_is_asked_for_by_column_and_row():
    values = propose("value")
    assert values["What is the default size of the yarn merino?"].expected_text == "merino 4 mm"
    assert not any("linen" in prompt for prompt in values)


def test_an_argument_of_a_signature_has_its_default():
    markup = (
        "<title>yarn</title><dl><dt>yarn.spin(fibre, twist=12)</dt><dd>Spins the fibre into a long thread.</dd></dl>"
    )
    assert propose("value", markup)["What is the default for twist in yarn.spin()?"].expected_text == "twist=12"
    assert list(propose("definition", markup)) == []


def test_a_page_named_after_what_it_does_a_heading_and_a_sentence_are_asked_as_a_how():
    assert set(propose("how")) == {
        "How do I create a row of stitches?",
        "How do I turn the heel of a sock?",
        "How do I close the toe with a needle?",
    }


@pytest.mark.parametrize(
    "text", ["To do this, take it.", "To use these options, read below.", "To each its own, and to all a hat."]
)
def test_an_aim_that_points_back_is_no_question(text):
    assert propose("how", f"<h2>Socks</h2><p>{text} The rest is a long story about wool.</p>") == {}


def test_a_heading_is_asked_with_a_phrase_of_its_text():
    prompt, proposed = next(iter(propose("heading").items()))
    assert "turning the heel of a sock" in prompt and "short rows" in prompt
    assert proposed.claim.named == "Turning the heel of a sock"


def test_a_heading_that_is_a_question_is_asked_as_it_is():
    markup = "<h2>3. Why does wool shrink in hot water?</h2><p>The scales of its fibres open and catch one another.</p>"
    assert list(propose("heading", markup)) == ["Why does wool shrink in hot water?"]


@pytest.mark.parametrize("heading", ["Other ways", "Release 3.14.2", "Knitting: a history", "Notes", "Join the yarn"])
def test_a_heading_that_names_no_subject_is_not_asked(heading):
    said = "The short rows meet the gusset stitches, and the gusset stitches of the heel carry the short rows."
    assert propose("heading", f"<h2>{heading}</h2><p>{said}</p>") == {}


def test_two_phrases_of_one_section_are_asked_for_together():
    said = "The indigo bath is for the wool fibre. Heat the indigo bath before it takes the wool fibre."
    (proposed,) = propose("where", f"<h2>Colours</h2><p>{said}</p>").values()
    assert set(proposed.claim.phrases) == {"indigo bath", "wool fibre"}


@pytest.mark.parametrize("kind", [kind for kind in PROPOSERS if kind != "says"])
def test_only_the_kind_says_quotes_and_every_answer_stands_on_the_page(kind):
    page = read(MANUAL)
    for proposed in PROPOSERS[kind](page):
        assert find_phrases(proposed.prompt) == []
        assert proposed.passage in page.text


def test_a_verb_after_a_noun_is_no_phrase():
    text = "The option imitates a knot. Where the option imitates a loop, the loop closes."
    assert "option imitates" not in find_key_phrases(text, count=5)


@pytest.mark.parametrize(
    ("claim", "is_met"),
    [
        (Claim(named="cast on"), True),
        (Claim(named="cast"), False),
        (Claim(named="Short rows"), True),
        (Claim(named="--depth", subject="knit cast"), True),
        (Claim(named="--depth", subject="knit purl"), False),
        (Claim(phrases=("a number", "rows")), True),
        (Claim(phrases=("a number", "purl")), False),
    ],
)
def test_a_claim_is_met_by_a_heading_the_beginning_of_a_line_or_phrases_together(claim, is_met):
    place = Place("knit-cast(1)", "Socks › 2. Short rows", "-d --depth n Takes a number\nCast on: begin the rows")
    # “Cast” alone goes on as “Cast on”, which is another name.
    if claim.named == "cast":
        place = Place("knit-cast(1)", "Socks", "Casting: begin\nOvercast: sew")
    said = fold(f"{place.title} {place.heading} {place.text}")
    assert (claim.is_named_by(place) or claim.is_held_by(said)) is is_met


def test_a_page_with_more_tasks_than_it_gets_makes_none():
    page = read("<h1>Roses</h1><p>The roses in this garden are pruned in late winter.</p>")
    assert choose_proposals(page, split="train", count=-1, may_say=False, is_own=lambda *_: True) == []
