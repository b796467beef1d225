"""Quotes are chosen by rule; prose must be grounded in them."""

from __future__ import annotations

import pytest

from tests.training.agent.sites import ScriptedModel, brain
from training.agent.answerer import ANSWER_MAX, ReadPage, choose_quotes, is_covered, write_answer
from training.agent.model import Reply
from training.agent.prompts import JSON_TOKENS_MAX, room_for
from training.agent.reading.page import parse_page
from training.agent.reading.words import read_question
from training.agent.task import Site
from training.agent.trajectory import Quote

SITE = Site("stub", "http://site.example/")
FRAME = "<p>This garden is kept by volunteers, who meet on the first Saturday.</p>"


def evidence(path: str, title: str, *paragraphs: str) -> ReadPage:
    url = f"http://site.example/{path}"
    body = f"<title>{title}</title>{FRAME}" + "".join(f"<p>{text}</p>" for text in paragraphs)
    page = parse_page(body=body.encode(), media_type="text/html", url=url, site=SITE)
    return ReadPage(page, frozenset({url}), f"digest of {path}")


ROSES = evidence(
    "roses",
    "About roses",
    "They are pruned in late winter, before the buds begin to swell.",
    "Water is best given in the morning, at the root and not on the leaves.",
)
TREES = evidence("trees", "About trees", "An old oak stands at the gate and has stood there for long.")
PAGES = (ROSES, TREES)


def quotes(prompt: str) -> list[str]:
    return [quote.text for quote in choose_quotes(read_question(prompt), PAGES)]


def test_the_passage_that_covers_the_question_is_quoted() -> None:
    assert quotes("Where does the old oak stand?")[0].startswith("An old oak")


def test_the_title_says_what_a_passage_is_about() -> None:
    assert quotes("When are roses pruned?") == ["They are pruned in late winter, before the buds begin to swell."]


def test_what_all_pages_say_is_no_evidence() -> None:
    assert quotes("Which volunteers meet on the first Saturday?") == []


def test_a_question_about_something_else_has_no_quotes() -> None:
    assert quotes("What is the capital of France?") == []


def test_a_quoted_phrase_is_found_literally_or_not_at_all() -> None:
    assert quotes("Who says \u201cBEFORE the buds\u00a0begin\u201d?")[0].startswith("They are pruned")
    assert quotes("Who says \u201cbefore the leaves begin\u201d?") == []


def test_a_phrase_over_two_passages_is_found_whatever_its_marks_and_letters() -> None:
    spelled = evidence("a", "A", "It isn\u2019t done in \ufb01ne weather \u2013 not at all.", "Au\u200cf Wiedersehen.")
    question = read_question("Who says \u201cisn't done in fine weather - not at all. auf wied\u201d?")
    found = [quote.text for quote in choose_quotes(question, [spelled])]
    assert found == ["isn\u2019t done in \ufb01ne weather \u2013 not at all. Au\u200cf Wiedersehen."]


def test_a_phrase_over_two_passages_is_cut_out_of_the_page() -> None:
    phrase = "begin to swell. Water is best"
    assert quotes(f"Who says \u201c{phrase}\u201d?") == [phrase]
    assert is_covered(read_question(f"Who says \u201c{phrase}\u201d?"), PAGES)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Who says \u201cbefore the buds begin\u201d?", True),
        ("Who says \u201cbefore the buds end\u201d?", False),
        ("old oak at the gate", True),
        ("roses at the gate in summer", False),
    ],
)
def test_a_question_is_settled_by_what_is_literally_there(prompt: str, expected: bool) -> None:
    assert is_covered(read_question(prompt), PAGES) is expected


QUOTE = Quote("They are pruned in late winter, before the buds begin to swell.", "http://site.example/roses", "d")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Roses are pruned in late winter.", "Roses are pruned in late winter."),
        ("Tulips open on warm days and close at night.", QUOTE.text),
        ("", QUOTE.text),
        ("So it is.", QUOTE.text),
    ],
)
def test_prose_that_the_quotes_do_not_carry_is_replaced_by_the_best_quote(said: str, expected: str) -> None:
    answer = write_answer(
        model=ScriptedModel(answer=said),
        brain=brain(),
        question=read_question("When are roses pruned?"),
        quotes=[QUOTE],
        schema=None,
    )
    assert answer.text == expected


def test_a_sentence_cut_off_by_the_limit_is_left_out() -> None:
    class Talker:
        def chat(self, *, max_tokens: int, **_: object) -> Reply:
            return Reply("Roses are pruned in late winter. Before the buds be", completion_tokens=max_tokens)

    question = read_question("When are roses pruned?")
    answer = write_answer(model=Talker(), brain=brain(), question=question, quotes=[QUOTE], schema=None)
    assert answer.text == "Roses are pruned in late winter."


def test_an_answer_without_end_is_capped() -> None:
    question = read_question("When are the roses pruned?")
    model = ScriptedModel(answer="They are pruned in late winter. " * 100_000)
    answer = write_answer(model=model, brain=brain(), question=question, quotes=[QUOTE], schema=None)
    assert len(answer.text) <= ANSWER_MAX


def test_a_schema_with_a_list_gets_more_room_than_a_small_one() -> None:
    small = {"type": "object", "properties": {"when": {"type": "string"}}}
    several = {"type": "object", "properties": {"items": {"type": "array", "items": small}}}
    assert 80 < room_for(small) < room_for(several) == JSON_TOKENS_MAX
