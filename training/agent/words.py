"""Words, quoted phrases and how much of a question a text covers. No model, no language but light English."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache

from training.agent.page import squeeze

PHRASE_MIN = 8
PHRASE_WEIGHT = 3.0

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W_]+")
_PLAIN_QUOTED = re.compile(r'"([^"]+)"')
_DOUBLE_QUOTES = "\u201c\u201d\u201e"
_SINGLE_QUOTES = "\u2018\u2019\u201a"
_DASHES = "\u2013\u2014"
_STRAIGHT = str.maketrans(
    dict.fromkeys(_DOUBLE_QUOTES, '"') | dict.fromkeys(_SINGLE_QUOTES, "'") | dict.fromkeys(_DASHES, "-")
)
# Opening quotation mark to what may close it: English, German, French.
_PAIRS = {"\u201c": "\u201d", "\u201e": "\u201c\u201d", "\u00ab": "\u00bb"}
# Words that say that something is asked, not what.
_STOP_WORDS = (
    "a about an and any are as at be been but by can could did do does each find for from give had has "
    "have how i if in into is it its let many may me more most much must my no not of on one or our "
    "page pages please quote say said says see shall should show site so some tell than that the their "
    "them then there these they this those to url us was we web website were what when where which who "
    "whose why will with word words would you your "
)
_STOP = frozenset(_STOP_WORDS.split())


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, read: its quoted phrases (folded), its words, and what each weighs in a text."""

    prompt: str
    phrases: tuple[str, ...]
    words: frozenset[str]
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Rarity:
    """What each word of some documents is worth, and what a word in none of them is."""

    values: Mapping[str, float]
    unseen: float


def read_question(prompt: str) -> Question:
    """The question with words inside quotation marks weighing three times the others."""
    raw_phrases = find_phrases(prompt)
    # Sorted, so that sums of weights come out the same in every process.
    weights = dict.fromkeys(sorted(content_words(prompt)), 1.0)
    for phrase in raw_phrases:
        weights.update(dict.fromkeys(sorted(content_words(phrase)), PHRASE_WEIGHT))
    folded = (fold(phrase) for phrase in raw_phrases)
    phrases = tuple(phrase for phrase in folded if len(phrase) >= PHRASE_MIN)
    return Question(prompt, phrases, frozenset(weights), weights)


def find_phrases(prompt: str) -> list[str]:
    """What stands between quotation marks (curly, angled or straight), outermost pairs only."""
    phrases: list[str] = []
    rest: list[str] = []
    position = 0
    while position < len(prompt):
        character = prompt[position]
        end = _find_closing(prompt, position) if character in _PAIRS else -1
        if end > position:
            phrases.append(prompt[position + 1 : end])
            rest.append(" ")
            position = end
        else:
            rest.append(character)
        position += 1
    phrases += _PLAIN_QUOTED.findall("".join(rest))
    return [squeeze(phrase) for phrase in phrases if phrase.strip()]


def fold(text: str) -> str:
    """The text for comparing: compatibility forms, straight quotes, lower case, single blanks."""
    return squeeze(unicodedata.normalize("NFKC", text).translate(_STRAIGHT).casefold())


@lru_cache(maxsize=16_384)
def split_words(text: str) -> tuple[str, ...]:
    """The words of a text, lower case and lightly stemmed; identifiers come apart at _ . - and camelCase."""
    return tuple(_stem(word) for word in _WORD.findall(_CAMEL.sub(" ", text).casefold()))


def content_words(text: str) -> frozenset[str]:
    """The words of a text that say something."""
    return frozenset(split_words(text)) - _STOP


def weigh_rarity(documents: Iterable[Iterable[str]]) -> Rarity:
    """How rare each word is among n documents: ln(1 + (n - df + 0.5) / (df + 0.5)), as BM25 has it."""
    frequency: Counter[str] = Counter()
    count = 0
    for words in documents:
        count += 1
        frequency.update(set(words))
    values = {word: math.log(1 + (count - df + 0.5) / (df + 0.5)) for word, df in frequency.items()}
    return Rarity(values, unseen=math.log(1 + (count + 0.5) / 0.5))


def measure_coverage(weights: Mapping[str, float], present: Set[str], *, rarity: Rarity) -> tuple[float, int]:
    """(share of the weight of a question's words that is present, 0 to 1; how many of its words are)."""
    total = found = 0.0
    matched = 0
    for word, weight in weights.items():
        value = weight * rarity.values.get(word, rarity.unseen)
        total += value
        if word in present:
            found += value
            matched += 1
    return (found / total if total else 0.0), matched


def _find_closing(prompt: str, start: int) -> int:
    opening, closings = prompt[start], _PAIRS[prompt[start]]
    depth = 1
    for position in range(start + 1, len(prompt)):
        character = prompt[position]
        if character in closings:
            depth -= 1
            if not depth:
                return position
        elif character == opening:
            depth += 1
    # Unbalanced, as when a quoted passage itself opens a quotation: the last closing mark ends it.
    return max(prompt.rfind(closing, start + 1) for closing in closings)


def _stem(word: str) -> str:
    if len(word) > 5 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 6 and word.endswith("ing"):
        return word[:-3]
    if len(word) > 5 and word.endswith("ed"):
        return word[:-2]
    if len(word) > 4 and word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word
