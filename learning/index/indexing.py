"""Indexing: a page's passages are stored once per content, and the words of a host are counted again as it grows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Avg, Count, F, Func, IntegerField, QuerySet

from lealife.core.digest import digest_bytes
from learning.index.models import HostIndex, IndexedPage, IndexedPassage, TermCount
from training.agent.reading.page import ParsedPage
from training.agent.reading.passages import Passage, cut_passages
from training.agent.reading.words import split_words

# What a page is called and what stands above a passage says more about it than one of its words.
HEADING_WEIGHT = 2
# What is longer is a key, a hash or a dump, which no question spells out; and the database's index has a bound.
TERM_MAX = 100
# The words of a host are counted again when so large a share of its passages has changed.
COUNT_AGAIN_SHARE = 0.1

_COUNT_TERMS = """
    INSERT INTO index_term_counts (host_id, term, passages)
    SELECT %(host)s, term, count(*) FROM (
        SELECT DISTINCT id, unnest(terms) AS term FROM indexed_passages WHERE host_id = %(host)s
    ) AS held
    GROUP BY term
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """A page as a run read it. `is_trusted`: an independent reading said the same."""

    url: str
    page: ParsedPage
    snapshot_digest: str
    is_trusted: bool


def index_page(*, host_id: int, url: str, page: ParsedPage, snapshot_digest: str, now: datetime) -> int:
    """Stores the passages of a page within the caller's transaction, unless it says what is stored already.

    The passages of what it said before are deleted. Returns how many passages are new.
    """
    others = IndexedPage.objects.filter(host_id=host_id, content_hash=page.content_digest)
    if others.exists():
        # The page is known, under this address or another one. What this address said before is no longer there.
        forget_pages(_at(host_id, [url]).exclude(content_hash=page.content_digest))
        return 0
    entry, _ = IndexedPage.objects.update_or_create(
        host_id=host_id,
        url_digest=digest_bytes(url.encode()),
        defaults={
            "url": url,
            "title": _clean(page.title),
            "content_hash": page.content_digest,
            "snapshot_digest": snapshot_digest,
            "updated_at": now,
        },
    )
    gone, _ = IndexedPassage.objects.filter(page=entry).delete()
    passages = cut_passages(page.sections)
    IndexedPassage.objects.bulk_create(
        IndexedPassage(
            page=entry,
            host_id=host_id,
            place=place,
            heading=_clean(passage.heading),
            text=_clean(passage.text),
            terms=list_terms(passage, title=page.title),
        )
        for place, passage in enumerate(passages)
    )
    _note_change(host_id, come=len(passages), gone=gone)
    return len(passages)


def list_terms(passage: Passage, *, title: str) -> list[str]:
    """The terms of a passage, as its row holds them."""
    named = [*split_words(title), *split_words(passage.heading)]
    return [term for term in (*split_words(passage.text), *named * HEADING_WEIGHT) if len(term) <= TERM_MAX]


def forget_pages(pages: QuerySet[IndexedPage]) -> int:
    """Deletes pages from the index within the caller's transaction; returns how many passages went with them."""
    total = 0
    for host_id in pages.order_by().values_list("host_id", flat=True).distinct():
        gone, _ = IndexedPassage.objects.filter(page__in=pages.filter(host_id=host_id)).delete()
        _note_change(host_id, come=0, gone=gone)
        total += gone
    pages.delete()
    return total


def forget_addresses(*, host_id: int, urls: Iterable[str]) -> int:
    """Deletes the pages at these addresses, as `forget_pages` does."""
    return forget_pages(_at(host_id, urls))


def _at(host_id: int, urls: Iterable[str]) -> QuerySet[IndexedPage]:
    digests = [digest_bytes(url.encode()) for url in urls]
    return IndexedPage.objects.filter(host_id=host_id, url_digest__in=digests)


def follow_readings(*, host_id: int, readings: Iterable[Reading], now: datetime) -> None:
    """Brings the index up to what the pages that a run read say now, within the caller's transaction.

    New text of a page is indexed once it is trusted: another reading agreed. Until then the page is left out.
    """
    by_digest = {digest_bytes(reading.url.encode()): reading for reading in readings}
    known = IndexedPage.objects.filter(host_id=host_id, url_digest__in=by_digest)
    stored = dict(known.values_list("url_digest", "content_hash"))
    for digest, reading in by_digest.items():
        if stored.get(digest) == reading.page.content_digest:
            continue
        if reading.is_trusted:
            index_page(
                host_id=host_id,
                url=reading.url,
                page=reading.page,
                snapshot_digest=reading.snapshot_digest,
                now=now,
            )
        elif digest in stored:
            forget_pages(known.filter(url_digest=digest))


def find_uncounted_host() -> int | None:
    """A host whose words want to be counted again; None when all are counted well enough."""
    changed = HostIndex.objects.filter(changed_since__gt=F("counted_passages") * COUNT_AGAIN_SHARE)
    return changed.order_by("-changed_since").values_list("host_id", flat=True).first()


def count_terms(host_id: int) -> int:
    """Counts in how many passages of a host each word stands; returns how many passages there are."""
    passages = IndexedPassage.objects.filter(host_id=host_id)
    with transaction.atomic():
        size = HostIndex.objects.select_for_update().get(host_id=host_id)
        TermCount.objects.filter(host_id=host_id).delete()
        with connection.cursor() as cursor:
            cursor.execute(_COUNT_TERMS, {"host": host_id})
        measured = passages.aggregate(
            count=Count("pk"), average=Avg(Func(F("terms"), function="cardinality", output_field=IntegerField()))
        )
        size.passages = size.counted_passages = measured["count"]
        size.average_terms = measured["average"] or 0.0
        size.changed_since = 0
        size.save()
        return size.passages


def _note_change(host_id: int, *, come: int, gone: int) -> None:
    HostIndex.objects.get_or_create(host_id=host_id)
    HostIndex.objects.filter(host_id=host_id).update(
        passages=F("passages") + come - gone, changed_since=F("changed_since") + come + gone
    )


def _clean(text: str) -> str:
    # Plain text may hold NUL, Postgres cannot.
    return text.replace("\x00", " ")
