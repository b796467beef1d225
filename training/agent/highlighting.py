"""Highlighting: the stretch of a passage that answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul

from training.agent.embedding import Embed, Vector
from training.agent.ranking import measure_share
from training.agent.reading.blocks import split_passages
from training.agent.reading.passages import HEADINGS_JOINED_BY, Passage
from training.agent.reading.words import Question, fold, split_words, weigh_rarity

# The longest stretch, in characters.
ANSWER_MAX = 400
# What the words of a stretch are worth next to its meaning, those of its first sentence once more, and how many
# sentences, rows or lines may follow that one: fitted to where expected texts stand in passages of three manuals.
WORDS_WORTH, BEGINNING_WORTH, FOLLOWING = 0.7, 0.05, 2
# A line that ends with one of these goes on in the next; and what ends a question, in several scripts.
LEADS_ON = ".:;,!?\u2026\u3002\uff01\uff1f\uff1a\uff1b\uff0c\u061f\u0964"
ASKS = ("?", "\uff1f", "\u061f")


def find_answer(question: Question, passage: Passage, *, embed: Embed | None = None) -> str:
    """The stretch of a passage that bears most on the question, by words and meaning; the first of equals.

    What a stretch means is the mean of its sentences, each of which is sent to the model once. What is asked in the
    question's own words is no answer: a stretch that begins with a question comes last.
    """
    sentences = split_sentences(passage)
    rarity = weigh_rarity(split_words(sentence) for sentence in sentences)
    places = _find_places(passage, sentences)
    counts = _count_joined(passage, places)
    about = passage.heading.rpartition(HEADINGS_JOINED_BY)[2]
    texts = [question.prompt, *(f"{about}: {sentence}" for sentence in sentences)]
    vectors = embed(texts) if embed is not None and len(sentences) > 1 else ()
    asked, *meanings = vectors or [()] * len(texts)

    def cut(place: int) -> str:
        return passage.text[places[place][0] : places[place + counts[place] - 1][1]]

    def worth(place: int) -> tuple[bool, float]:
        texts = (cut(place), sentences[place])
        share, own = (measure_share(question, set(split_words(text)), rarity=rarity) for text in texts)
        alike = _measure_cosine(asked, meanings[place : place + counts[place]])
        return not sentences[place].endswith(ASKS), alike + WORDS_WORTH * share + BEGINNING_WORTH * own

    return cut(max(range(len(sentences)), key=worth))


def _count_joined(passage: Passage, places: Sequence[tuple[int, int]]) -> list[int]:
    """Of how many sentences, rows or lines the stretch consists that begins with each: up to `FOLLOWING` after it, at
    most `ANSWER_MAX` characters.

    What is asked is often said again before it is answered, and a line of code stands below what it is for. Nothing
    follows a row or an item that does not end like a sentence: the next one is about something else.
    """
    counts = []
    for number, (start, end) in enumerate(places):
        count = 1
        for _, later in places[number + 1 : number + 1 + FOLLOWING]:
            is_item = passage.text[end] == "\n" and passage.text[end - 1] not in LEADS_ON
            if is_item or later - start > ANSWER_MAX:
                break
            end = later
            count += 1
        counts.append(count)
    return counts


def _measure_cosine(asked: Vector, meanings: Sequence[Vector]) -> float:
    """The cosine of a unit vector and the sum of others, which is that of their mean; 0 without vectors."""
    total = [sum(values) for values in zip(*meanings, strict=True)]
    length = math.hypot(*total)
    return sum(map(mul, asked, total)) / length if length else 0.0


def find_holding(passage: Passage, words: str) -> str:
    """The shortest run of sentences, rows and lines of a passage that holds folded words; empty when none does."""
    places = _find_places(passage, split_sentences(passage))
    runs = (passage.text[start:end] for at, (start, _) in enumerate(places) for _, end in places[at:])
    return min((run for run in runs if words in fold(run)), key=len, default="")


def _find_places(passage: Passage, sentences: Sequence[str]) -> list[tuple[int, int]]:
    """Where each sentence of a passage begins and ends."""
    places, at = list[tuple[int, int]](), 0
    for sentence in sentences:
        start = passage.text.index(sentence, at)
        at = start + len(sentence)
        places.append((start, at))
    return places


def split_sentences(passage: Passage) -> list[str]:
    """The sentences of a passage; a row or line of it that has none is one."""
    return [each for line in passage.text.split("\n") for each in split_passages(line) or [line]]
