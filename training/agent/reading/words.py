"""Words, quoted phrases and how much of a question a text covers. No model; only English is stemmed."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cache, lru_cache

import regex
import snowballstemmer  # type: ignore[import-untyped]

from training.agent.reading.text import clean_text, measure_length, squeeze

PHRASE_MIN = 8
# The most quoted phrases of a question; each costs a search of memory and of every page.
PHRASES_MAX = 6
PHRASE_WEIGHT = 3.0

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[a-z0-9]+")
# What is written like the name of a function, module, option or class, or like a version.
_NAME = re.compile(
    r"(--[a-z0-9]+(?:-[a-z0-9]+)+|(?<![\w.:])[A-Za-z0-9]+(?:(?:[_.]|::)[A-Za-z0-9]+)+"
    r"|\b[A-Za-z]*[a-z0-9][A-Z][A-Za-z0-9]*)"
)
_JOINED_BY = re.compile(r"\.|::")
# Of all scripts: runs in which no blanks part the words (and Hangul, whose words carry their endings), each script by
# itself; and words, their accents and vowel signs included.
UNSPACED = r"\p{Han}\u3005\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Hangul}"
_ANY_WORD = regex.compile(
    r"(?P<han>[\p{Han}\u3005]++)|(?P<run>\p{Hiragana}++|[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Hangul}]++)"
    rf"|[\p{{L}}\p{{M}}\p{{N}}--[{UNSPACED}]]++",
    regex.VERSION1,
)
_UNSPACED_RUN = regex.compile(rf"[{UNSPACED}]++")
# Scripts in which a search by whole words would miss parts of longer words.
_DENSE = regex.compile(rf"[{UNSPACED}\p{{Katakana}}]")
# Chinese characters that say how something is asked, or nothing; and hiragana, which inflects and connects.
_HAN_STOP = regex.compile(
    "[\u7684\u4e86\u662f\u5417\u55ce\u5462\u5427\u4e48\u9ebc\u4ec0\u54ea\u8c01\u8ab0\u600e\u51e0\u5e7e\u4f55\u8bf7\u8acb]+"
)
_HIRAGANA = regex.compile(r"\p{Hiragana}+")
# Joiners and non-joiners shape letters; to compare words they are nothing. Nor are two Arabic ligatures that stand for
# a whole sentence: a page of them would grow eighteenfold.
_JOINERS = re.compile("[\u200c\u200d\ufdfa\ufdfb]")
# After a letter or a digit the mark is none: 5" are five inches.
_PLAIN_QUOTED = re.compile(r'(?<![0-9A-Za-z])"([^"]+)"(?![0-9A-Za-z])')
_DOUBLE_QUOTES = "\u201c\u201d\u201e"
_SINGLE_QUOTES = "\u2018\u2019\u201a\u201b\u02bc\u2032"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_STRAIGHT = str.maketrans(
    dict.fromkeys(_DOUBLE_QUOTES, '"') | dict.fromkeys(_SINGLE_QUOTES, "'") | dict.fromkeys(_DASHES, "-")
)
# Opening quotation mark to what may close it: English, German, French, and the corners of East Asia. Single marks are
# none: an apostrophe looks the same.
_PAIRS = {
    "\u201c": "\u201d",
    "\u201e": "\u201c\u201d",
    "\u00ab": "\u00bb",
    "\u00bb": "\u00ab",
    "\u300c": "\u300d",
    "\u300e": "\u300f",
}
# Porter's second algorithm; words of other languages pass through it nearly unchanged.
_STEMMER = snowballstemmer.stemmer("english")
# Words that only mark a question and carry no content.
_STOP_WORDS = (
    "a about an and any are as at be been but by can could did do does each find for from give had has "
    "have how i if in into is it its let many may me more most much must my no not of on one or our "
    "page pages please quote say said says see shall should show site so some tell than that the their "
    "them then there these they this those to url us was we web website were what when where which who "
    "whose why will with word words would you your "
)


@dataclass(frozen=True, slots=True)
class Question:
    """A parsed prompt: its quoted phrases (folded), its words, and the weight of each word."""

    prompt: str
    phrases: tuple[str, ...]
    words: frozenset[str]
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Rarity:
    """The weight of each word in some documents, and the weight of a word that is in none of them."""

    values: Mapping[str, float]
    unseen: float


def read_question(prompt: str) -> Question:
    """The question; words inside quotation marks weigh three times as much as the others."""
    raw_phrases = find_phrases(prompt)[:PHRASES_MAX]
    # Sorted, so that sums of weights come out the same in every process.
    weights = dict.fromkeys(sorted(content_words(prompt)), 1.0)
    for phrase in raw_phrases:
        weights.update(dict.fromkeys(sorted(content_words(phrase)), PHRASE_WEIGHT))
    folded = (fold(phrase) for phrase in raw_phrases)
    phrases = tuple(phrase for phrase in folded if measure_length(phrase) >= PHRASE_MIN)
    return Question(prompt, phrases, frozenset(weights), weights)


def find_phrases(prompt: str) -> list[str]:
    """The texts between quotation marks (curly, angled, cornered or straight), outermost pairs only.

    In time proportional to the prompt.
    """
    phrases: list[str] = []
    rest: list[str] = []
    last = {opening: max(map(prompt.rfind, closings)) for opening, closings in _PAIRS.items()}
    position = 0
    while position < len(prompt):
        character = prompt[position]
        # Unbalanced, as when a quoted passage itself opens a quotation, the last closing mark ends it; none of its kind
        # is looked for again.
        end = _find_closing(prompt, position, last=last[character]) if character in _PAIRS else -1
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
    """The text for comparing: compatibility forms, straight quotes, lower case, single blanks, nothing invisible."""
    if text.isascii():
        return squeeze(text.casefold())
    plain = unicodedata.normalize("NFKC", _JOINERS.sub("", clean_text(text)))
    return squeeze(plain.translate(_STRAIGHT).casefold())


def pair_characters(text: str) -> str:
    """The folded text as a search needs it: where no blanks separate words, every two characters form a term."""
    folded = fold(text)
    return folded if folded.isascii() else _UNSPACED_RUN.sub(lambda run: f" {' '.join(_pair_up(run[0]))} ", folded)


def has_unspaced(text: str) -> bool:
    """Whether some of the text is in a script without blanks between words."""
    return bool(_DENSE.search(text))


@lru_cache(maxsize=16_384)
def split_words(text: str) -> tuple[str, ...]:
    """The words of a text, lower case and stemmed; names come apart at _ . - and camelCase, and then come whole.

    The parts of a name are often common words; whole it is the rarest word of a question. Where no blanks separate
    words, every two characters in a row count as one word.
    """
    plain = _make_plain(text)
    split = _split_ascii if plain.isascii() else _split
    words: list[str] = []
    for place, piece in enumerate(_NAME.split(plain)):
        words += split(piece)
        if place % 2:
            words += _list_names(piece)
    return tuple(words)


def split_parts(text: str) -> tuple[str, ...]:
    """The same without whole names: what two texts that spell a name differently have in common."""
    plain = _make_plain(text)
    return tuple(_split_ascii(plain) if plain.isascii() else _split(plain))


def _make_plain(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", _JOINERS.sub("", clean_text(text)))


def _list_names(name: str) -> Iterator[str]:
    """A name, and before it those names that it joins by dots: `pop_all` of `ExitStack.pop_all`."""
    joined = _JOINED_BY.split(name)
    if len(joined) > 1:
        yield from (part.casefold() for part in joined if "_" in part or _CAMEL.search(part))
    yield name.casefold()


def _split_ascii(text: str) -> Iterable[str]:
    return map(_stem, _WORD.findall(_CAMEL.sub(" ", text).casefold()))


def _split(text: str) -> list[str]:
    words: list[str] = []
    for found in _ANY_WORD.finditer(_CAMEL.sub(" ", text).casefold()):
        if found["han"]:
            words += [pair for run in _HAN_STOP.split(found[0]) for pair in _pair_up(run)]
        else:
            words += _pair_up(found[0]) if found["run"] else [_stem(found[0])]
    return words


def content_words(text: str) -> frozenset[str]:
    """The content words of a text; hiragana only when there are no others."""
    return _keep_content(split_words(text), is_ascii=text.isascii())


def content_parts(text: str) -> frozenset[str]:
    """The same without whole names."""
    return _keep_content(split_parts(text), is_ascii=text.isascii())


def _keep_content(split: Iterable[str], *, is_ascii: bool) -> frozenset[str]:
    words = frozenset(split) - _stop_stems()
    if is_ascii:
        return words
    return frozenset(word for word in words if not _HIRAGANA.fullmatch(word)) or words


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


@cache
def _stop_stems() -> frozenset[str]:
    return frozenset(map(_stem, _STOP_WORDS.split()))


def _find_closing(prompt: str, start: int, *, last: int) -> int:
    """Where the quotation that opens at `start` ends: its own closing mark, else the `last` of its kind."""
    opening, closings = prompt[start], _PAIRS[prompt[start]]
    depth = 1
    for position in range(start + 1, last + 1):
        character = prompt[position]
        if character in closings:
            depth -= 1
            if not depth:
                return position
        elif character == opening:
            depth += 1
    return last


def _pair_up(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(max(len(run) - 1, 1))] if run else []


@lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    stem: str = _STEMMER.stemWord(word)
    return stem
