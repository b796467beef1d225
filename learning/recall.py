"""Recall: which memory items a run is given. Deterministic: same prompt and memory, same items in same order."""

from __future__ import annotations

import re
from dataclasses import replace

from django.db import connection

from lealife.lib.digest import unit_interval
from learning.memory import SEARCH_CONFIG, split_identifiers
from learning.models import MemoryItem
from training.agent.brain import RULED_OUT, Recalled
from training.agent.page import parse_kept
from training.agent.words import PHRASE_MIN, find_phrases
from training.models import PageSnapshot

LIMIT = 8
RULED_OUT_MAX = 1_000
# One recalled item in twenty-five is withheld from training runs, to see what it would have been worth.
WITHHOLD_SHARE = 0.04
_WORD = re.compile(r"[^\W_]{3,}")
_TERMS = 12
# Each costs a search and a look at its pages; a prompt of a thousand phrases is no question.
_PHRASES = 6
_WORDS_ASKED = 100

_SEARCH = """
    SELECT id, kind, url, title, text,
           ts_rank_cd(search, query, 1) * (1 + helped_count / (4.0 + recalled_count)) AS score
    FROM memory_items, {query} AS query
    WHERE host_id = %(host)s AND status = 'trusted' AND kind IN ('page', 'route') AND search @@ query
    ORDER BY score DESC, id
    LIMIT %(limit)s
"""

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
    """At most `limit` trusted items of the host, best first, then the pages that are ruled out.

    A prompt that quotes a phrase is answered by the pages that hold it literally; known pages that do not are
    ruled out, and a run that looks for the phrase leaves them for last. Other prompts get the items with all
    their telling words first, then those with any.
    """
    phrases = [phrase for phrase in find_phrases(prompt) if len(phrase) >= PHRASE_MIN][:_PHRASES]
    if phrases:
        searched = [_search_phrase(phrase, host_id=host_id, limit=limit) for phrase in phrases]
        holding = [item for held, _ in searched for item in held]
        spared = {item.url for item in holding}.union(*[unseen for _, unseen in searched])
        ruled_out = _rule_out(host_id=host_id, spared=spared) if _can_search(phrases) else []
        return (*_unique(holding, limit=limit), *ruled_out)
    words = telling_words(prompt)
    found = _search("plainto_tsquery", " ".join(words), host_id=host_id, limit=limit) if words else []
    if words and len(found) < limit:
        found += _search("to_tsquery", " | ".join(words), host_id=host_id, limit=limit)
    return _unique(found, limit=limit)


def shown(items: tuple[Recalled, ...]) -> tuple[Recalled, ...]:
    """The items that say where to go, without those that only say where not to."""
    return tuple(item for item in items if item.kind != RULED_OUT)


def _unique(items: list[Recalled], *, limit: int) -> tuple[Recalled, ...]:
    by_url: dict[str, Recalled] = {}
    for item in items:
        by_url.setdefault(item.url, item)
    return tuple(by_url.values())[:limit]


def _search_phrase(phrase: str, *, host_id: int, limit: int) -> tuple[list[Recalled], set[str]]:
    """Items whose page holds the phrase to the letter; stems and word order alone would also match others.

    And the addresses of matches past the limit: nobody looked whether they hold it.
    """
    found = _search("phraseto_tsquery", split_identifiers(phrase), host_id=host_id, limit=RULED_OUT_MAX)
    contents = _read_contents(found[:limit])
    kept = []
    for item in found[:limit]:
        excerpt = cut_excerpt(contents.get(item.item_id, item.text), phrase)
        if excerpt:
            kept.append(replace(item, text=excerpt))
    return kept, {item.url for item in found[limit:]}


def _can_search(phrases: list[str]) -> bool:
    """Whether each phrase has a word to search by: of “to be or not to be” nothing is left."""
    with connection.cursor() as cursor:
        cursor.execute(_SEARCHABLE, [[split_identifiers(phrase) for phrase in phrases]])
        return bool(cursor.fetchone()[0])


def _read_contents(items: list[Recalled]) -> dict[int, str]:
    rows = MemoryItem.objects.filter(pk__in=[item.item_id for item in items], kind=MemoryItem.Kind.PAGE)
    hashes = {item.pk: (item.content_hash, item.url, item.host) for item in rows.select_related("host")}
    snapshots = PageSnapshot.objects.in_bulk([content for content, _, _ in hashes.values()])
    contents = {}
    for pk, (content, url, host) in hashes.items():
        kept = snapshots.get(content)
        site = host.as_site()
        page = parse_kept(body=kept.body, media_type=kept.media_type, url=url, site=site) if kept else None
        if page:
            contents[pk] = page.text
    return contents


def cut_excerpt(text: str, phrase: str, *, around: int = 120) -> str:
    """The text around the phrase, white space squeezed and case aside; empty when it is not there."""
    squeezed = " ".join(text.split())
    at = squeezed.casefold().find(phrase.casefold())
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
        for word in sorted(_WORD.findall(split_identifiers(text).lower()), key=lambda word: (-len(word), word)):
            words.setdefault(word)
    with connection.cursor() as cursor:
        cursor.execute(_TELLING, {"words": list(words)[:_WORDS_ASKED], "limit": _TERMS})
        return [word for (word,) in cursor.fetchall()]


def _search(function: str, text: str, *, host_id: int, limit: int) -> list[Recalled]:
    query = f"{function}('{SEARCH_CONFIG}', %(text)s)"
    with connection.cursor() as cursor:
        cursor.execute(_SEARCH.format(query=query), {"text": text, "host": host_id, "limit": limit})
        return [
            Recalled(item_id=pk, kind=kind, url=url, title=title, text=extract, score=float(score))
            for pk, kind, url, title, extract, score in cursor.fetchall()
        ]
