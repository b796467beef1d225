"""Words and quoted phrases."""

from __future__ import annotations

import pytest

from training.agent.words import find_phrases, fold, read_question, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("json.JSONDecoder", ("json", "json", "decoder")),
        ("snake_case-name", ("snake", "case", "name")),
        ("camelCaseName", ("camel", "case", "name")),
        ("sha256 utf8", ("sha256", "utf8")),
        ("Bücher über Café", ("bücher", "über", "café")),
        ("parsing libraries", ("pars", "library")),
    ],
)
def test_identifiers_come_apart(text: str, words: tuple[str, ...]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("prompt", "phrases"),
    [
        ("Which page says \u201cRoses are red\u201d?", ["Roses are red"]),
        ('Which page says "Roses are red"?', ["Roses are red"]),
        ('Which page says \u201cReturn "x" as it is\u201d?', ['Return "x" as it is']),
        ("Says \u201can inner \u201cquote\u201d here\u201d?", ["an inner \u201cquote\u201d here"]),
        ("Says \u201ccalled a \u201cstarred target: so\u201d?", ["called a \u201cstarred target: so"]),
        ("\u201eGuten Tag\u201c and \u00abBonjour\u00bb", ["Guten Tag", "Bonjour"]),
        ("No quotes, it's plain", []),
    ],
)
def test_phrases_stand_between_quotation_marks(prompt: str, phrases: list[str]) -> None:
    assert find_phrases(prompt) == phrases


def test_quoted_words_weigh_more_and_question_words_nothing() -> None:
    question = read_question("Which page about gardens says \u201cprune the roses\u201d?")
    assert question.weights == {"garden": 1.0, "prune": 3.0, "rose": 3.0}
    assert question.phrases == ("prune the roses",)


def test_folding_forgets_case_quotes_and_blanks() -> None:
    assert fold("It\u2019s\u00a0 \u201cSO\u201d \u2013 \ufb01ne") == 'it\'s "so" - fine'
