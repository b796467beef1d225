"""Key phrases: what a text speaks of, found by the small words around it. English only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

# Words that end a phrase: function words, and verbs and adverbs that manuals use all the time.
_ENDS_WORDS = (
    "a about above accepts across additional after again all allow allows along already also although always among an "
    "and another any applies apply are as at available be because become becomes been before begins being belongs "
    "below between both but by call called calls can cannot cause causes certain change changes consists contain "
    "contains could create created creates current default depends describe described describes determines did "
    "different do does done down during each either else empty ends entire even every example exist existing exists "
    "expects extra fails few first following follows for from full further get gets give given gives good had happen "
    "happens has have having hence here holds how however if in include includes including indicates instead into is "
    "it its itself just know known last least leave leaves less let like made main make makes many matches may mean "
    "means might more most much multiple must named necessary need needs new next no non none nor not note now number "
    "of off often old older on once one only onto or original other others otherwise our out over own particular per "
    "please points possible previous provide provided provides rather read reads refers remains represents require "
    "required requires return returned returns run runs same say says second see sent set sets several shall should "
    "show shows similar since single so some specific specified specifies start starts still such support supported "
    "supports take takes than that the their them then there these they this those three through thus to together too "
    "total try two under unless until up upon us use used useful uses using usually various very via want wants was "
    "way we well were what when where whether which while who whole whose why will with within without work works "
    "would write writes written yes yet you your"
)
_ENDS = frozenset(_ENDS_WORDS.split())
_BEFORE = frozenset(("a", "an", "the", "each", "every", "of", "its", "their", "this", "these", "any", "for", "in"))
_TOKEN = re.compile(r"_*[A-Za-z][\w'’/-]*|[^\w\s]|\d[\w.]*")
WORDS_LEAST, WORDS_MOST = 2, 3
LETTERS_LEAST = 9
# An ending that nouns seldom have, and the words of a phrase must not.
_NO_NOUN = re.compile(r"(?:ly|ed|able|ible|ful|ous|n't|n’t)$")
_PLURAL = re.compile(r"[^s]s$")
_ARTICLES = frozenset(("a", "an", "the", "each", "every", "this"))


def find_key_phrases(text: str, *, count: int) -> list[str]:
    """Phrases of two or three words that stand after an article at least once, and twice at all.

    The most frequent first; of equals the one that comes first. In small letters unless they are names.
    """
    seen: Counter[str] = Counter()
    bare = set[str]()
    led = dict[str, str]()
    for phrase, before in _list_runs(text):
        key = phrase.lower()
        seen[key] += 1
        if before in _BEFORE:
            led.setdefault(key, phrase)
        if before not in _ARTICLES:
            bare.add(key)
    # “The option imitates”: what looks like a plural and never stands without an article has a verb for its last word.
    nouns = (key for key in led if seen[key] >= 2 and (key in bare or not _PLURAL.search(key)))
    ranked = sorted(nouns, key=lambda key: -seen[key])
    kept: list[str] = []
    for key in ranked:
        if not any(set(key.split()) & set(other.lower().split()) for other in kept):
            kept.append(led[key])
    return kept[:count]


def _list_runs(text: str) -> Iterator[tuple[str, str]]:
    """Runs of content words between small words and signs, each with the word before it in small letters."""
    run: list[str] = []
    before = last = ""
    for token in [*_TOKEN.findall(text), "."]:
        is_word = token[0].isalpha() and token.lower() not in _ENDS
        if is_word:
            before = before if run else last
            run.append(token)
        else:
            if WORDS_LEAST <= len(run) <= WORDS_MOST and _reads_as_noun(run):
                yield " ".join(run), before
            run = []
        last = token.lower()


def _reads_as_noun(run: list[str]) -> bool:
    return (
        sum(map(len, run)) >= LETTERS_LEAST
        and all(len(word) > 1 for word in run)
        and not any(_NO_NOUN.search(word) for word in (run[0], run[-1]))
        and not run[-1].endswith("ing")
    )
