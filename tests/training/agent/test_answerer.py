"""Prose must stand in its quotes."""

from __future__ import annotations

import pytest

from tests.training.agent.sites import ScriptedModel, brain
from training.agent.answerer import ANSWER_MAX, SHOWN_MAX, find_names, stands_in, write_answer
from training.agent.model import Reply
from training.agent.prompts import JSON_TOKENS_MAX, room_for
from training.agent.trajectory import Quote

QUOTE = Quote(
    "Roses: they are pruned in late winter, before the buds begin to swell.", "http://site.example/roses", "d"
)


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
        prompt="When are roses pruned?",
        quotes=[QUOTE],
        schema=None,
    )
    assert answer.text == expected


def test_a_sentence_cut_off_by_the_limit_is_left_out() -> None:
    class Talker:
        def chat(self, *, max_tokens: int, **_: object) -> Reply:
            return Reply("Roses are pruned in late winter. Before the buds be", completion_tokens=max_tokens)

    answer = write_answer(model=Talker(), brain=brain(), prompt="When are roses pruned?", quotes=[QUOTE], schema=None)
    assert answer.text == "Roses are pruned in late winter."


def test_the_model_is_shown_the_words_that_answer_however_long_the_passage_is() -> None:
    answer = "They are pruned in late winter."
    text = f"{'The garden is old. ' * 60}{answer} {'The buds swell in spring. ' * 60}It ends here."
    model = ScriptedModel(answer="")
    quotes = [
        Quote(text, "http://site.example/a", "d", heading="Garden \u203a Roses", highlight=answer),
        Quote(text, "http://site.example/b", "d", highlight="It ends here."),
    ]
    write_answer(model=model, brain=brain(), prompt="When?", quotes=quotes, schema=None)
    _, first, second, asked = model.asked[0]["messages"][-1]["content"].splitlines()
    assert first.startswith(f"- Roses: {answer} The buds swell")
    assert second.endswith("in spring. It ends here.")
    assert max(len(first), len(second)) <= SHOWN_MAX + len("- Roses: ")
    assert asked == "Question: When?"


def test_an_answer_without_end_is_capped() -> None:
    model = ScriptedModel(answer="They are pruned in late winter. " * 100_000)
    answer = write_answer(model=model, brain=brain(), prompt="When are roses pruned?", quotes=[QUOTE], schema=None)
    assert len(answer.text) <= ANSWER_MAX


def test_a_schema_with_a_list_gets_more_room_than_a_small_one() -> None:
    small = {"type": "object", "properties": {"when": {"type": "string"}}}
    several = {"type": "object", "properties": {"items": {"type": "array", "items": small}}}
    assert 80 < room_for(small) < room_for(several) == JSON_TOKENS_MAX


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Call sqlite3_backup_init() in main.c.", ["sqlite3_backup_init()", "main.c"]),
        ("Use --force-with-lease=main, not -f.", ["--force-with-lease=main", "-f"]),
        ("It has 4,300 digits since 3.11.", ["4,300", "3.11"]),
        ("The pages say nothing of it.", []),
    ],
)
def test_names_and_numbers_are_found_as_they_are_spelled(text: str, expected: list[str]) -> None:
    assert find_names(text) == expected


SAID = Quote(
    "Call sqlite3_backup_init() first. The limit is 4300 digits. It is not on by default.", "u", "d",
    highlight="The limit is 4300 digits.",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Call sqlite3_backup_init() first.", True),
        ("Call sqlite3_back_up() first.", False),
        ("Call sqlite3_backup first.", False),
        ("The limit is not 4300 digits.", False),
        ("The limit is 4300 digits.", True),
        ("The limit is 430 digits.", False),
        ("The default limit is digits.", True),
        ("Call your mother first.", False),
        ("", False),
    ],
)
def test_a_text_stands_in_its_quotes_with_every_word_number_and_name(text: str, expected: bool) -> None:
    assert stands_in(text, quotes=[SAID]) is expected


@pytest.mark.parametrize(
    ("text", "expected"), [("Yes, it is on by default.", False), ("No, it is not on by default.", True)]
)
def test_a_yes_or_no_that_contradicts_its_quote_is_caught(text: str, expected: bool) -> None:
    quote = Quote("It is not on by default.", "u", "d", highlight="It is not on by default.")
    assert stands_in(text, quotes=[quote]) is expected


def test_no_sentence_says_of_one_thing_what_another_quote_says_of_another() -> None:
    body = Quote("LimitRequestBody restricts the total size of the request body.", "u", "d")
    line = Quote("LimitRequestLine restricts the size of the request line, with the method and address.", "u", "d")
    assert stands_in(
        "LimitRequestBody restricts the total size. The size of the line: LimitRequestLine.", quotes=[body, line]
    )
    assert not stands_in("LimitRequestBody restricts the size of the request line.", quotes=[body, line])
    assert not stands_in("LimitRequestBody restricts the total size. It has the address.", quotes=[body, line])


def test_a_denial_is_compared_with_the_sentence_that_it_is_about() -> None:
    quote = Quote("The server listens on port 8080. The port cannot be changed while it runs.", "u", "d")
    assert stands_in("The server listens on port 8080.", quotes=[quote])
    assert not stands_in("The server does not listen on port 8080.", quotes=[quote])
    assert not stands_in("The port can be changed while the server runs.", quotes=[quote])


def test_an_answer_that_runs_in_a_loop_is_none() -> None:
    said = "The ScriptLogLength directive limits the size of the log file of scripts, in bytes."
    quote = Quote(said, "http://site.example/", "d")
    assert stands_in(said, quotes=[quote])
    assert not stands_in(f"Limit the size: {'- ScriptLogLength directive: ' * 8}", quotes=[quote])
    assert stands_in("The size, the size, the log size.", quotes=[quote])
