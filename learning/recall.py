"""Recall: the passages and memory items that a run is given. Deterministic: same prompt and index, same list."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection

from lealife.core.digest import digest_bytes, unit_interval
from learning.corrections import MISLED_WHY, NAMED_WHY, Corrections, read_corrections
from learning.index.models import IndexedPage
from learning.index.search import Found, add_up, search_passages
from learning.memory import read_pages
from learning.memory_search import SEARCH_CONFIG, split_identifiers
from learning.models import MemoryItem
from training.agent.brain import (
    INDEXED,
    MISLED,
    NAMED,
    PASSAGE,
    PITFALL,
    RULED_OUT,
    TOLD_KINDS,
    VISITABLE_KINDS,
    Recalled,
)
from training.agent.embedding import Embed
from training.agent.ranking import FIRST_WEIGHTS, Features, Weights
from training.agent.reading.page import ParsedPage
from training.agent.reading.words import fold, has_unspaced, read_question
from training.agent.web.address import canonical_url
from training.models import Host

LIMIT = 8
# Passages of the site index that a run is given.
PASSAGES = 30
RULED_OUT_MAX = 1_000
# One recalled item in twenty-five is withheld from training runs, to see what it would have been worth.
WITHHOLD_SHARE = 0.04
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Record:
    """A memory item, and how often it led to a right answer."""

    pk: int
    kind: str
    record: float
    why: str


# Checked runs that each item is thought to have failed before its record begins.
RECORD_PRIOR = 2
PITFALLS_MAX = 30
RECALLABLE = "host_id = %(host)s AND status = 'trusted' AND kind IN ('page', 'route')"
_FIELDS = "item.id, item.kind, item.url, item.title, item.text, item.helped_count, item.checked_count"

_SEARCH_PHRASE = f"""
    SELECT {_FIELDS} FROM memory_items AS item
    WHERE {RECALLABLE} AND search @@ phraseto_tsquery('{SEARCH_CONFIG}', %(phrase)s)
    ORDER BY id LIMIT {RULED_OUT_MAX}
"""  # noqa: S608  constants of our own

_SEARCHABLE = f"""
    SELECT bool_and(numnode(phraseto_tsquery('{SEARCH_CONFIG}', phrase)) > 0)
    FROM unnest(%s::text[]) AS asked (phrase)
"""  # noqa: S608  the configuration's name only


def recall(
    *,
    host_id: int,
    prompt: str,
    limit: int = LIMIT,
    weights: Weights = FIRST_WEIGHTS,
    embed: Embed | None = None,
    told: Set[str] = TOLD_KINDS,
) -> tuple[Recalled, ...]:
    """The passages of the host's index and at most `limit` trusted items that bear on a question, each best first;
    then the addresses that failed and are ruled out, and the page where runs begin if it is indexed.

    `embed` makes the question's vector, and while most passages have none those of the nearest by words; without it
    words alone are compared. It asks a model server, so this is not called within a transaction.

    A prompt that quotes a phrase is answered by the pages that hold it literally; known pages that do not are
    ruled out, and a run that looks for the phrase leaves them for last. Other prompts get the items that hold most
    of their telling words. Of what people's verdicts say of questions like this, the run is `told` the pages that
    misled, the pages that were named as right, or both.
    """
    question = read_question(prompt)
    phrases = list(question.phrases)
    # Quoted words are looked for to the letter.
    vectors = embed([prompt]) if embed is not None and not phrases else ()
    passages = search_passages(
        host_id=host_id,
        question=question,
        weights=weights,
        vector=vectors[0] if vectors else None,
        limit=PASSAGES,
        embed=embed,
    )
    if phrases:
        passages = [each for each in passages if each.features.phrase]
    found, ruled_out = _recall_passages(passages, host_id=host_id, weights=weights), list[Recalled]()
    if phrases:
        searched = [_search_phrase(phrase, host_id=host_id, limit=limit, weights=weights) for phrase in phrases]
        held = [item for items, _ in searched for item in items]
        literal = {each.url for each in passages}
        spared = literal.union({item.url for item in held}, *[unseen for _, unseen in searched])
        # A page whose passage was found needs no other excerpt.
        found += [item for item in held if item.url not in literal]
        if _can_search(phrases):
            ruled_out = _rule_out(host_id=host_id, spared=spared)
    corrections = read_corrections(host_id=host_id, question=question) if told else Corrections()
    misled = corrections.misled if MISLED in told else frozenset[str]()
    # What a page that misled says is still compared with: without it another answer would seem to stand out.
    kept = [item for item in found if item.is_passage or item.url not in misled]
    good = _attach_items(kept, misled=misled, host_id=host_id, limit=limit)
    pitfalls = _read_pitfalls(host_id)
    tell = _tell(corrections, told, host_id=host_id, gone={item.url for item in pitfalls})
    start = _find_start(host_id) if passages else []
    return (*good, *tell, *pitfalls, *ruled_out, *start)


def _find_start(host_id: int) -> list[Recalled]:
    """The page where each run begins, when it is in the index: as it was, it need not be compared once more."""
    try:
        url = canonical_url(Host.objects.values_list("base_url", flat=True).get(pk=host_id))
    except ValueError:
        return []
    pages = IndexedPage.objects.filter(host_id=host_id, url_digest=digest_bytes(url.encode()))
    return [Recalled(0, INDEXED, url, page.title, page.content_hash, 0.0) for page in pages]


def _recall_passages(passages: Sequence[Found], *, host_id: int, weights: Weights) -> list[Recalled]:
    return [
        Recalled(
            item_id=0,
            kind=PASSAGE,
            url=each.url,
            title=each.title,
            text=each.text,
            score=each.score,
            why=f"Holds {each.features.text:.0%} of the question’s words: {add_up(each.features, weights)}.",
            heading=each.heading,
            cosine=round(each.features.cosine, 6),
            is_passage=True,
        )
        for each in _drop_retired(passages, host_id=host_id)
    ]


def _attach_items(found: Sequence[Recalled], *, misled: frozenset[str], host_id: int, limit: int) -> list[Recalled]:
    """What was found, best first: passages with the record of their page, and at most `limit` memory items.

    The best passage of a page stands for the page's item, so that a page is not given twice. The items of pages that
    misled are left out.
    """
    best = _read_records({each.url for each in found if each.is_passage} - misled, host_id=host_id)
    ranked = _sort([replace(each, record=best[each.url].record) if each.url in best else each for each in found])
    attached, taken = list[Recalled](), set[str]()
    for each in ranked:
        may_take = each.url not in taken and len(taken) < limit
        item = best.get(each.url)
        if each.is_passage and item is not None and may_take:
            taken.add(each.url)
            attached.append(replace(each, item_id=item.pk, kind=item.kind, why=f"{each.why} {item.why}"))
        elif each.is_passage:
            attached.append(each)
        elif may_take:
            taken.add(each.url)
            attached.append(each)
    return attached


def _read_records(urls: Set[str], *, host_id: int) -> dict[str, _Record]:
    """The trusted item of each page that has the best record."""
    items = MemoryItem.objects.recallable().filter(host_id=host_id, kind__in=VISITABLE_KINDS, url__in=urls)
    best: dict[str, _Record] = {}
    fields = ("pk", "kind", "url", "helped_count", "checked_count")
    for pk, kind, url, helped, checked in items.order_by("pk").values_list(*fields):
        record = round(measure_record(kind=kind, helped=helped, checked=checked), 6)
        if url not in best or record > best[url].record:
            best[url] = _Record(pk, kind, record, f"Helped in {helped} of {checked} checked runs.")
    return best


def _drop_retired(passages: Sequence[Found], *, host_id: int) -> list[Found]:
    """Without the pages that a person took out of recall."""
    retired = _find_retired({each.url for each in passages}, host_id=host_id)
    return [each for each in passages if each.url not in retired]


def _find_retired(urls: Set[str], *, host_id: int) -> set[str]:
    retired = MemoryItem.objects.filter(
        host_id=host_id,
        kind=MemoryItem.Kind.PAGE,
        status=MemoryItem.Status.RETIRED,
        reason=MemoryItem.Reason.BY_HAND,
        url__in=urls,
    )
    return set(retired.values_list("url", flat=True))


def shown(items: tuple[Recalled, ...]) -> tuple[Recalled, ...]:
    """The items that say where to go, without those that only say where not to."""
    return tuple(item for item in items if item.kind in VISITABLE_KINDS)


def _tell(corrections: Corrections, told: Set[str], *, host_id: int, gone: Set[str]) -> list[Recalled]:
    """What was quoted where an answer was judged wrong, and the pages that people named and that are still there."""
    # Who is not told that a page was named must not leave it for last either.
    wrong = [each for each in corrections.wrong if NAMED in told or each.url in corrections.misled]
    kinds = [(MISLED, MISLED_WHY, wrong), (NAMED, NAMED_WHY, corrections.named)]
    wanted = [(kind, why, place) for kind, why, places in kinds if kind in told for place in places]
    if not wanted:
        return []
    urls = {place.url for _, _, place in wanted}
    gone = gone | _find_retired(urls, host_id=host_id)
    digests = {digest_bytes(url.encode()) for url in urls}
    pages = IndexedPage.objects.filter(host_id=host_id, url_digest__in=digests)
    titles = dict(pages.values_list("url", "title"))
    return [
        Recalled(
            item_id=0,
            kind=kind,
            url=place.url,
            title=titles.get(place.url, ""),
            text=place.passage if kind == MISLED else place.text,
            score=float(place.is_same),
            why=why,
        )
        for kind, why, place in wanted
        if kind == MISLED or place.url not in gone
    ]


def _read_pitfalls(host_id: int) -> list[Recalled]:
    pitfalls = MemoryItem.objects.recallable().filter(host_id=host_id, kind=MemoryItem.Kind.PITFALL).order_by("-pk")
    return [
        Recalled(item_id=pk, kind=PITFALL, url=url, title=title, text="", score=0.0, why=f"This address failed: {text}")
        for pk, url, title, text in pitfalls.values_list("pk", "url", "title", "text")[:PITFALLS_MAX]
    ]


def _search_phrase(phrase: str, *, host_id: int, limit: int, weights: Weights) -> tuple[list[Recalled], set[str]]:
    """Items whose page holds the phrase to the letter; stems and word order alone would also match others.

    And the addresses of matches past the limit: they were not read to see whether they hold it.
    """
    rows = _read_rows(_SEARCH_PHRASE, {"phrase": split_identifiers(phrase), "host": host_id})
    found = _sort([_rate(row, text=row[4], weights=weights) for row in rows])
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
    """Leaves each item out with a small probability that depends only on run and item; returns kept and withheld.

    The passages of its page stay, for they are on the page whatever was learned, but without its record.
    """
    withheld = [
        item.item_id for item in shown(items) if unit_interval("withhold", run_id, item.item_id) < WITHHOLD_SHARE
    ]
    urls = {item.url for item in items if item.item_id in withheld}
    kept = (item for item in items if item.is_passage or item.item_id not in withheld)
    return tuple(_forget_item(item) if item.is_passage and item.url in urls else item for item in kept), withheld


def _forget_item(passage: Recalled) -> Recalled:
    return replace(passage, item_id=0, kind=PASSAGE, record=0.0)


def _read_rows(statement: str, asked: dict[str, Any]) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(statement, asked)
        return cursor.fetchall()


def _rate(row: Row, *, weights: Weights, text: str) -> Recalled:
    pk, kind, url, title, _, helped, checked = row
    record = measure_record(kind=kind, helped=helped, checked=checked)
    features = Features(bm25=1.0, text=1.0, phrase=1.0)
    score = weights.score(features)
    why = f"Holds the quoted words: {add_up(features, weights)}. Helped in {helped} of {checked} checked runs."
    return Recalled(
        item_id=pk, kind=kind, url=url, title=title, text=text, score=round(score, 6), why=why, record=round(record, 6)
    )


def measure_record(*, kind: str, helped: int, checked: int) -> float:
    """How often an item led to a right answer, 0 to 1; with few checked runs it is near 0."""
    # A trusted route was found right once before: by the run that taught it.
    taught = int(kind == MemoryItem.Kind.ROUTE)
    return (helped + taught) / (RECORD_PRIOR + checked + taught)


def _sort(found: list[Recalled]) -> list[Recalled]:
    return sorted(found, key=lambda item: (-item.score - item.record, item.item_id))
