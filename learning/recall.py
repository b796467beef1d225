"""Recall: which memory items a run is given. Deterministic: same prompt and memory, same items in same order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import regex
from django.db import connection

from lealife.core.digest import unit_interval
from learning.memory import SEARCH_CONFIG, read_pages, split_identifiers
from learning.misleading import MISLED_WHY, read_misled
from learning.models import MemoryItem
from training.agent.brain import MISLED, PITFALL, RULED_OUT, VISITABLE_KINDS, Recalled
from training.agent.reading.page import ParsedPage
from training.agent.reading.words import (
    UNSPACED,
    Question,
    content_words,
    find_phrases,
    fold,
    has_unspaced,
    read_question,
    split_words,
)
from training.agent.shortlist import ENOUGH_COVERED

LIMIT = 8
RULED_OUT_MAX = 1_000
# One recalled item in twenty-five is withheld from training runs, to see what it would have been worth.
WITHHOLD_SHARE = 0.04
# Words of three letters, or the pairs of characters that stand for words where no blanks part them.
_WORD = regex.compile(rf"(?<!\S)[{UNSPACED}]{{2}}(?!\S)|[^\W_]{{3,}}")
_TERMS = 12
_WORDS_ASKED = 100
Row = tuple[Any, ...]

# What the name of a page (its title and address) adds to what its best passage holds of the question (0 to 1).
NAMED_BONUS = 0.75
# Checked runs that each item is thought to have failed before its record begins.
RECORD_PRIOR = 2
# Items whose pages are read passage by passage; all others hold less of the question.
RANKED = 16
PITFALLS_MAX = 30
RECALLABLE = "host_id = %(host)s AND status = 'trusted' AND kind IN ('page', 'route')"
_FIELDS = "item.id, item.kind, item.url, item.title, item.text, item.helped_count, item.checked_count"

# Which items hold which words, by the index alone: how often a page says a word adds nothing. A word counts once to
# twice, the more the fewer items have it. Of equals the shorter one comes first, then the one known first.
_SEARCH = f"""
    WITH asked AS (
        SELECT place, plainto_tsquery('{SEARCH_CONFIG}', word) AS query
        FROM unnest(%(words)s::text[]) WITH ORDINALITY AS asked (word, place)
    ), hits AS (
        SELECT item.id, asked.place FROM asked JOIN memory_items AS item ON item.search @@ asked.query
        WHERE {RECALLABLE}
    ), spread AS (
        SELECT place, count(hits.id)::float8 AS items FROM asked LEFT JOIN hits USING (place) GROUP BY place
    ), worth AS (
        SELECT place, 1 + ln(1 + (total - items + 0.5) / (items + 0.5)) / ln(1 + (total + 0.5) / 0.5) AS weight
        FROM spread, (SELECT count(*)::float8 AS total FROM memory_items WHERE {RECALLABLE}) AS counted
    ), found AS (
        SELECT id, sum(weight) AS held FROM hits JOIN worth USING (place) GROUP BY id
    )
    SELECT {_FIELDS}, (SELECT array_agg(weight ORDER BY place) FROM worth)
    FROM found JOIN memory_items AS item USING (id)
    ORDER BY round(held::numeric, 6) DESC, length(item.search), id LIMIT {RANKED}
"""  # noqa: S608  constants of our own

_SEARCH_PHRASE = f"""
    SELECT {_FIELDS} FROM memory_items AS item
    WHERE {RECALLABLE} AND search @@ phraseto_tsquery('{SEARCH_CONFIG}', %(phrase)s)
    ORDER BY id LIMIT {RULED_OUT_MAX}
"""  # noqa: S608  constants of our own

_SEARCHABLE = f"""
    SELECT bool_and(numnode(phraseto_tsquery('{SEARCH_CONFIG}', phrase)) > 0)
    FROM unnest(%s::text[]) AS asked (phrase)
"""  # noqa: S608  the configuration's name only

# Terms that stand on every other page say nothing and cost the most: the planner's own statistics know them.
_TELLING = f"""
    SELECT word FROM unnest(%(words)s::text[]) WITH ORDINALITY AS asked (word, place),
        tsvector_to_array(to_tsvector('{SEARCH_CONFIG}', word)) AS stems
    WHERE stems <> '{{}}' AND NOT stems && ARRAY(
        SELECT element FROM pg_stats,
            unnest(most_common_elems::text::text[], most_common_elem_freqs) AS common (element, frequency)
        WHERE tablename = 'memory_items' AND attname = 'search' AND frequency > 0.2
    )
    ORDER BY place
    LIMIT %(limit)s
"""  # noqa: S608  the configuration's name only


def recall(*, host_id: int, prompt: str, limit: int = LIMIT) -> tuple[Recalled, ...]:
    """At most `limit` trusted items of the host, best first, then the addresses that failed and are ruled out.

    A prompt that quotes a phrase is answered by the pages that hold it literally; known pages that do not are
    ruled out, and a run that looks for the phrase leaves them for last. Other prompts get the items that hold most
    of their telling words. A page whose answer to a question like this was judged wrong is given as such.
    """
    question = read_question(prompt)
    phrases = list(question.phrases)
    ruled_out: list[Recalled] = []
    if phrases:
        searched = [_search_phrase(phrase, question=question, host_id=host_id, limit=limit) for phrase in phrases]
        found = [item for held, _ in searched for item in held]
        spared = {item.url for item in found}.union(*[unseen for _, unseen in searched])
        if _can_search(phrases):
            ruled_out = _rule_out(host_id=host_id, spared=spared)
    else:
        found = _search_words(question, host_id=host_id, limit=limit)
    misled = read_misled(host_id=host_id, question=question)
    good = _unique([item for item in found if item.url not in misled], limit=limit)
    return (*good, *_warn(misled, host_id=host_id), *_read_pitfalls(host_id), *ruled_out)


def shown(items: tuple[Recalled, ...]) -> tuple[Recalled, ...]:
    """The items that say where to go, without those that only say where not to."""
    return tuple(item for item in items if item.kind in VISITABLE_KINDS)


def _warn(misled: frozenset[str], *, host_id: int) -> list[Recalled]:
    pages = MemoryItem.objects.filter(host_id=host_id, kind=MemoryItem.Kind.PAGE, url__in=misled).order_by("pk")
    return [
        Recalled(item_id=pk, kind=MISLED, url=url, title=title, text="", score=0.0, why=MISLED_WHY)
        for pk, url, title in pages.values_list("pk", "url", "title")
    ]


def _read_pitfalls(host_id: int) -> list[Recalled]:
    pitfalls = MemoryItem.objects.recallable().filter(host_id=host_id, kind=MemoryItem.Kind.PITFALL).order_by("-pk")
    return [
        Recalled(item_id=pk, kind=PITFALL, url=url, title=title, text="", score=0.0, why=f"This address failed: {text}")
        for pk, url, title, text in pitfalls.values_list("pk", "url", "title", "text")[:PITFALLS_MAX]
    ]


def _unique(items: list[Recalled], *, limit: int) -> tuple[Recalled, ...]:
    by_url: dict[str, Recalled] = {}
    for item in items:
        by_url.setdefault(item.url, item)
    return tuple(by_url.values())[:limit]


def _search_words(question: Question, *, host_id: int, limit: int) -> list[Recalled]:
    """The best items for a question, each with the passage of its page that holds most of it."""
    words = telling_words(question.prompt)
    rows = _read_rows(_SEARCH, {"words": words, "host": host_id}) if words else []
    pages = _read_kept(rows)
    found = []
    for row in rows:
        weights = {stem: weight for word, weight in zip(words, row[-1], strict=True) for stem in split_words(word)}
        held, text = _find_passage(pages.get(row[0]), text=row[4], title=row[3], weights=weights)
        found.append(_rate(row, held=held, text=text, question=question))
    return _sort(found)


def _find_passage(page: ParsedPage | None, *, text: str, title: str, weights: Mapping[str, float]) -> tuple[float, str]:
    """What the best passage and the title hold of the question, 0 to 1, and the passage; the first of equals."""
    named = weights.keys() & set(split_words(title))
    passages = page.passages if page is not None and page.passages else (text,)
    held = [named.union(weights.keys() & set(split_words(passage))) for passage in passages]
    shares = [sum(weights[word] for word in sorted(words)) / sum(weights.values()) for words in held]
    best = max(range(len(shares)), key=lambda place: (shares[place], -place))
    return shares[best], passages[best]


def _search_phrase(phrase: str, *, question: Question, host_id: int, limit: int) -> tuple[list[Recalled], set[str]]:
    """Items whose page holds the phrase to the letter; stems and word order alone would also match others.

    And the addresses of matches past the limit: they were not read to see whether they hold it.
    """
    rows = _read_rows(_SEARCH_PHRASE, {"phrase": split_identifiers(phrase), "host": host_id})
    found = _sort([_rate(row, held=1.0, text=row[4], question=question) for row in rows])
    pages = _read_kept([row for row in rows if row[0] in {item.item_id for item in found[:limit]}])
    kept = []
    for item in found[:limit]:
        excerpt = cut_excerpt(pages[item.item_id].text if item.item_id in pages else item.text, phrase)
        if excerpt:
            kept.append(replace(item, text=excerpt))
    return kept, {item.url for item in found[limit:]}


def _read_kept(rows: list[Row]) -> dict[int, ParsedPage]:
    ids = [row[0] for row in rows if row[1] == MemoryItem.Kind.PAGE]
    return read_pages(MemoryItem.objects.select_related("host").defer("search").filter(pk__in=ids))


def _can_search(phrases: list[str]) -> bool:
    """Whether the search finds every page that holds the phrases.

    Of “to be or not to be” no word is left to search by; where no blanks part the words, a page may have been stored
    as one long word.
    """
    if any(has_unspaced(phrase) for phrase in phrases):
        return False
    with connection.cursor() as cursor:
        cursor.execute(_SEARCHABLE, [[split_identifiers(phrase) for phrase in phrases]])
        return bool(cursor.fetchone()[0])


def cut_excerpt(text: str, phrase: str, *, around: int = 120) -> str:
    """The text around the phrase, white space squeezed and case aside; empty when it is not there.

    Where the page spells it in another way (a curly apostrophe, a ligature), the folded text stands for it.
    """
    squeezed = " ".join(text.split())
    at = squeezed.casefold().find(phrase.casefold())
    if at < 0:
        squeezed, phrase = fold(text), fold(phrase)
        at = squeezed.find(phrase)
    return squeezed[max(0, at - around) : at + len(phrase) + around] if at >= 0 else ""


def _rule_out(*, host_id: int, spared: set[str]) -> list[Recalled]:
    known = MemoryItem.objects.recallable().filter(host_id=host_id, kind=MemoryItem.Kind.PAGE).order_by("-id")
    return [
        Recalled(item_id=pk, kind=RULED_OUT, url=url, title="", text="", score=0.0)
        for pk, url in known.values_list("pk", "url")[:RULED_OUT_MAX]
        if url not in spared
    ]


def withhold(items: tuple[Recalled, ...], *, run_id: int) -> tuple[tuple[Recalled, ...], list[int]]:
    """Leaves each item out with a small probability that depends only on run and item; returns kept and withheld."""
    candidates = [item.item_id for item in shown(items)]
    withheld = [pk for pk in candidates if unit_interval("withhold", run_id, pk) < WITHHOLD_SHARE]
    return tuple(item for item in items if item.item_id not in withheld), withheld


def telling_words(prompt: str) -> list[str]:
    """At most 12 distinct words of the prompt, quoted ones first, longest first; those on every page left out."""
    quoted = " ".join(find_phrases(prompt))
    words: dict[str, None] = {}
    for text in (quoted, prompt):
        found = [word for word in _WORD.findall(split_identifiers(text)) if split_words(word)]
        for word in sorted(found, key=lambda word: (-len(word), word)):
            words.setdefault(word)
    with connection.cursor() as cursor:
        cursor.execute(_TELLING, {"words": list(words)[:_WORDS_ASKED], "limit": _TERMS})
        return [word for (word,) in cursor.fetchall()]


def _read_rows(statement: str, asked: dict[str, Any]) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(statement, asked)
        return cursor.fetchall()


def _rate(row: Row, *, held: float, text: str, question: Question) -> Recalled:
    """The item with its score. More of the question than is enough to bear on it adds nothing.

    A page can be filled with the words of all questions. A record, the names of pages and being known first are
    harder to come by.
    """
    pk, kind, url, title, _, helped, checked = row[:7]
    named = _measure_name(f"{title} {urlsplit(url).path}", question)
    # A trusted route was found right once before: by the run that taught it.
    taught = int(kind == MemoryItem.Kind.ROUTE)
    record = (helped + taught) / (RECORD_PRIOR + checked + taught)
    score = min(held, ENOUGH_COVERED) / ENOUGH_COVERED * (1 + record) + NAMED_BONUS * named
    why = f"Covers {held:.0%} of the question; helped in {helped} of {checked} checked runs."
    return Recalled(item_id=pk, kind=kind, url=url, title=title, text=text, score=round(score, 6), why=why)


def _sort(found: list[Recalled]) -> list[Recalled]:
    return sorted(found, key=lambda item: (-item.score, item.item_id))


def _measure_name(name: str, question: Question) -> float:
    """How alike a name and the question are, 0 to 1: the cosine of their words. A name stuffed with words is not."""
    words = content_words(name)
    shared = len(words & question.words)
    return shared / math.sqrt(len(words) * len(question.words)) if shared else 0.0
