"""Words and quoted phrases."""

from __future__ import annotations

import time

import pytest

from training.agent.reading.words import PHRASES_MAX, content_words, find_phrases, fold, read_question, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("json.JSONDecoder", ("json", "json", "decod", "jsondecoder", "json.jsondecoder")),
        ("snake_case-name", ("snake", "case", "snake_case", "name")),
        ("camelCaseName", ("camel", "case", "name", "camelcasename")),
        ("git commit --no-verify", ("git", "commit", "no", "verifi", "--no-verify")),
        ("std::sort of 3.11. Next", ("std", "sort", "std::sort", "of", "3", "11", "3.11", "next")),
        ("read-only", ("read", "onli")),
        ("ExitStack.pop_all()", ("exit", "stack", "pop", "all", "exitstack", "pop_all", "exitstack.pop_all")),
        ("num\u00e9ro_2", ("num\u00e9ro", "2")),
        ("\uff50op_al\u200cl", ("pop", "all", "pop_all")),
        ("\u00fcber pop_all\u00e4", ("\u00fcber", "pop", "all", "pop_all", "\u00e4")),
        ("sha256 utf8", ("sha256", "utf8")),
        ("Bücher über Café", ("bücher", "über", "café")),
        ("parsing libraries", ("pars", "librari")),
        ("cafe\u0301 reten\u00adtion Auf\u200clage", ("caf\u00e9", "retent", "auflag")),
        ("\u0939\u093f\u0928\u094d\u0926\u0940 \uff50ort", ("\u0939\u093f\u0928\u094d\u0926\u0940", "port")),
        ("\u4fdd\u5b58\u671f\u9593\u306f\uff1f", ("\u4fdd\u5b58", "\u5b58\u671f", "\u671f\u9593", "\u306f")),
        ("\u671f\u9650\u662f\u591a\u4e45", ("\u671f\u9650", "\u591a\u4e45")),
        ("SQL\u306e\u30dd\u30fc\u30c8\u306f5432", ("sql", "\u306e", "\u30dd\u30fc\u30c8", "\u306f", "5432")),
        ("\ubd80\ud488\uc758", ("\ubd80\ud488", "\ud488\uc758")),
    ],
)
def test_names_come_apart_and_then_come_whole(text: str, words: tuple[str, ...]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize("piece", ["a", "aB", "a.", "--", "-a", "a_", "A", "a1", "::"])
def test_a_hundred_thousand_pieces_of_a_name_take_no_time(piece: str) -> None:
    began = time.thread_time()
    split_words(piece * 100_000)
    assert time.thread_time() - began < 1


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
        ("What's the warehouse's retention period?", []),
        ("I don\u2019t know it, and I can\u2019t find \u2018it\u2019.", []),
        ("Is 'a thing in single marks' quoted?", []),
        ('A 5" disk beside a 3" one', []),
        ("\u300c\u4fdd\u5b58\u671f\u9593\u300d and \u00bbGuten Tag\u00ab", ["\u4fdd\u5b58\u671f\u9593", "Guten Tag"]),
    ],
)
def test_phrases_stand_between_quotation_marks(prompt: str, phrases: list[str]) -> None:
    assert find_phrases(prompt) == phrases


def test_quoted_words_weigh_more_and_question_words_nothing() -> None:
    question = read_question("Which page about gardens says \u201cprune the roses\u201d?")
    assert question.weights == {"garden": 1.0, "prune": 3.0, "rose": 3.0}
    assert question.phrases == ("prune the roses",)


@pytest.mark.parametrize(
    "pair", ["\u201c\u201c", "\u201c\u201d", "\u201d\u201c", "\u201e\u201c", "\u00ab\u00bb", "\u300c\u300c", '""', "''"]
)
@pytest.mark.parametrize("word", ["", "a", " abcdefgh "])
def test_twenty_thousand_quotation_marks_take_no_time(pair: str, word: str) -> None:
    for prompt in (word.join(pair * 10_000), pair[0] * 10_000 + word + pair[1] * 9_999):
        began = time.thread_time()
        question = read_question(prompt)
        assert time.thread_time() - began < 0.5
        assert len(question.phrases) <= PHRASES_MAX


def test_a_short_phrase_of_chinese_characters_is_a_phrase() -> None:
    assert read_question("\u300c\u4fdd\u5b58\u671f\u9593\u300d").phrases == ("\u4fdd\u5b58\u671f\u9593",)
    assert read_question("\u300cABC\u300d").phrases == ()


def test_hiragana_alone_says_nothing_where_something_else_does() -> None:
    assert content_words("\u90e8\u54c1\u306e\u4fdd\u5b58\u3067\u3059") == {"\u90e8\u54c1", "\u4fdd\u5b58"}
    assert content_words("\u3055\u304f\u3089") == {"\u3055\u304f", "\u304f\u3089"}


def test_folding_forgets_case_quotes_and_blanks() -> None:
    assert fold("Zero\u200b-width re\u00adsum\u200ce\u0301") == "zero-width resum\u00e9"
    assert fold("It\u2019s\u00a0 \u201cSO\u201d \u2013 \ufb01ne") == 'it\'s "so" - fine'
