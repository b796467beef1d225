"""Memory items: keyed upserts, quarantine and what confirms, retirement and purge."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from lealife.core.actors import Actor, requires
from lealife.core.announce import announce
from lealife.core.errors import InvalidInput
from learning.index.indexing import forget_pages
from learning.lessons import Lesson
from learning.memory_search import index_item
from learning.models import FrontierPage, IndexedPage, MemoryEvidence, MemoryItem
from training.agent.reading.page import ParsedPage, is_same_page, parse_kept
from training.audit import record_audit
from training.models import Host, PageSnapshot, TrainingOutcome

Reason, Status = MemoryItem.Reason, MemoryItem.Status

MEMORY_LOCK = 0x4C6549
# An item given to so many runs with a check, and never followed to an answer found right, is worth nothing.
RETIRE_AFTER_RECALLS = 40
# Pages that name one address as their own are compared with so many of them.
CANONICAL_MAX = 3


def lock_memory(*host_ids: int) -> None:
    """Holds the memory of these hosts until the transaction ends.

    Two outcomes of a host teach the same pages and were shown each other's: without this their transactions
    would insert one key twice, or wait for each other's items in a circle.
    """
    with connection.cursor() as cursor:
        # In one order, so that two of several hosts never wait for each other in a circle.
        for key in sorted({host_id % 2**31 for host_id in host_ids}):
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [MEMORY_LOCK, key])


def _lock_memory_of(items: QuerySet[MemoryItem]) -> None:
    # Before any of the rows: an ingest holds the counts of its items and may want one of these next.
    lock_memory(*items.order_by().values_list("host_id", flat=True).distinct())


def store_lessons(*, outcome: TrainingOutcome, lessons: Iterable[Lesson], now: datetime) -> int:
    """Upserts the lessons of one outcome within the caller's transaction; returns how many items it touched.

    What a page says of itself is trusted once two fetches agree on it: two outcomes, or one outcome and the
    curriculum's own fetch. What claims that an answer was right (routes, exemplars) is trusted once a check of the
    run vouches for it, or a supported outcome that counts, however often it is claimed. Content that changed goes back
    to quarantine.
    """
    wanted = {lesson.key: lesson for lesson in lessons}
    if not wanted:
        return 0
    host_items = MemoryItem.objects.filter(host_id=outcome.host_id)
    # In key order, so that two ingests never wait for each other in a circle.
    known = {item.key: item for item in host_items.select_for_update().filter(key__in=wanted).order_by("key")}
    crawled = _crawled_contents(outcome.host_id, wanted.values())
    taught: set[int] = set()
    for key, lesson in wanted.items():
        item = _find_item(lesson, known.get(key), host_items=host_items, now=now)
        if item is None:
            item = _insert(outcome, lesson, trusted=lesson.is_checked or lesson.content_hash in crawled)
        elif item.pk in taught:
            # One page under several addresses, read twice by one run, is one sighting.
            continue
        elif lesson.kind in MemoryItem.CLAIMS:
            _confirm_claim(item, lesson, now=now)
        else:
            _confirm(item, lesson, crawled=lesson.content_hash in crawled, now=now)
        taught.add(item.pk)
        MemoryEvidence.objects.bulk_create(
            [MemoryEvidence(item=item, outcome=outcome, url=lesson.url, content_hash=lesson.content_hash)],
            ignore_conflicts=True,
        )
    return len(taught)


def _crawled_contents(host_id: int, lessons: Iterable[Lesson]) -> set[str]:
    hashes = {lesson.content_hash for lesson in lessons if lesson.page is not None}
    found = FrontierPage.objects.filter(host_id=host_id, content_digest__in=hashes)
    return set(found.values_list("content_digest", flat=True))


def _find_item(
    lesson: Lesson, own: MemoryItem | None, *, host_items: QuerySet[MemoryItem], now: datetime
) -> MemoryItem | None:
    """The item that a lesson is about: its own, or the page seen first that says the same under another address."""
    if lesson.page is None:
        return own
    first = _find_same_page(lesson, lesson.page, host_items=host_items)
    if first is None or (own is not None and own.pk < first.pk):
        return own
    if own is not None:
        retire(MemoryItem.objects.filter(pk=own.pk), reason=Reason.SAME, now=now)
    return first


def _find_same_page(lesson: Lesson, page: ParsedPage, *, host_items: QuerySet[MemoryItem]) -> MemoryItem | None:
    others = host_items.filter(kind=MemoryItem.Kind.PAGE).exclude(key=lesson.key).order_by("pk")
    others = others.exclude(reason__in=(Reason.GONE, Reason.MOVED, Reason.SAME, Reason.REPLACED))
    same = others.filter(content_hash=lesson.content_hash).first()
    if same is not None or not page.canonical or page.canonical == page.url:
        return same
    # The page names another address as its own. That page may never have been read, but others that name it.
    alike = others.filter(Q(url=page.canonical) | Q(data__canonical=page.canonical))
    read = read_pages(alike[:CANONICAL_MAX])
    return next((item for item in alike if item.pk in read and is_same_page(page, read[item.pk])), None)


def read_pages(items: Iterable[MemoryItem]) -> dict[int, ParsedPage]:
    """The kept pages that items were read from, parsed; by the item's id."""
    items = list(items)
    snapshots = PageSnapshot.objects.in_bulk([item.snapshot_digest for item in items])
    pages = {}
    for item in items:
        kept = snapshots.get(item.snapshot_digest)
        if kept is not None:
            site = item.host.as_site()
            page = parse_kept(body=kept.body, media_type=kept.media_type, url=item.url, site=site)
            if page is not None:
                pages[item.pk] = page
    return pages


def _insert(outcome: TrainingOutcome, lesson: Lesson, *, trusted: bool) -> MemoryItem:
    item = MemoryItem.objects.create(
        host_id=outcome.host_id,
        kind=lesson.kind,
        key=lesson.key,
        status=Status.TRUSTED if trusted else Status.QUARANTINED,
        url=lesson.url,
        title=lesson.title,
        text=lesson.text,
        data=lesson.data,
        content_hash=lesson.content_hash,
        snapshot_digest=lesson.snapshot_digest,
        sightings=2 if trusted and lesson.page is not None else 1,
        first_outcome=outcome,
    )
    index_item(item.pk, title=lesson.title, searched=lesson.searched)
    return item


def _confirm_claim(item: MemoryItem, lesson: Lesson, *, now: datetime) -> None:
    rows = MemoryItem.objects.filter(pk=item.pk)
    rows.update(sightings=F("sightings") + 1, updated_at=now)
    _revive(rows, now=now)
    # What nothing vouches for is one more sighting of a trusted claim, but does not change what it says. A version that
    # was replaced stays as it was.
    rewritten = (rows if lesson.is_checked else rows.exclude(status=Status.TRUSTED)).filter(replaced_by=None)
    rewritten.update(
        data=lesson.data,
        text=lesson.text,
        content_hash=lesson.content_hash,
        snapshot_digest=lesson.snapshot_digest,
    )
    if lesson.is_checked:
        rows.filter(status=Status.QUARANTINED).update(status=Status.TRUSTED, reason="")


def _confirm(item: MemoryItem, lesson: Lesson, *, crawled: bool, now: datetime) -> None:
    rows = MemoryItem.objects.filter(pk=item.pk)
    # An older item may have no digest of what it says: this sighting gives it one.
    is_same = item.content_hash in (lesson.content_hash, "")
    revived = _revive(rows, now=now)
    if is_same:
        rows.update(sightings=1 if revived else F("sightings") + 1, updated_at=now, content_hash=lesson.content_hash)
        if lesson.url == item.url:
            rows.update(data=lesson.data, snapshot_digest=lesson.snapshot_digest)
        if not revived or crawled or lesson.is_checked:
            rows.filter(status=Status.QUARANTINED).update(status=Status.TRUSTED, reason="")
        return
    if lesson.url != item.url:
        # The same page with other words under another of its addresses: a sighting, but not what it says.
        rows.update(sightings=F("sightings") + 1, updated_at=now)
        return
    rows.exclude(status=Status.RETIRED).update(
        status=Status.TRUSTED if crawled else Status.QUARANTINED,
        reason="" if crawled else Reason.CHANGED,
        title=lesson.title,
        text=lesson.text,
        data=lesson.data,
        content_hash=lesson.content_hash,
        snapshot_digest=lesson.snapshot_digest,
        sightings=2 if crawled else 1,
        # These are the page's own new words, also where a person chose the old ones.
        corrected_by="",
        corrected_why="",
        updated_at=now,
    )
    index_item(item.pk, title=lesson.title, searched=lesson.searched)


def _revive(rows: QuerySet[MemoryItem], *, now: datetime) -> int:
    """Back to quarantine with what evidence had taken out of recall; not what people did, or what never helped."""
    taken_out = rows.filter(status=Status.RETIRED, reason__in=MemoryItem.REVIVABLE)
    return taken_out.update(status=Status.QUARANTINED, updated_at=now)


def retire(items: QuerySet[MemoryItem], *, reason: MemoryItem.Reason, now: datetime) -> int:
    """Takes items out of recall within the caller's transaction, saying why; returns how many changed."""
    return items.exclude(status=Status.RETIRED).update(status=Status.RETIRED, reason=reason, updated_at=now)


def confirm_crawled(*, host_id: int, content_hash: str, now: datetime) -> int:
    """The curriculum's own fetch saw the same content: quarantined pages that say so are trusted now."""
    lock_memory(host_id)
    return MemoryItem.objects.filter(
        host_id=host_id, kind=MemoryItem.Kind.PAGE, content_hash=content_hash, status=Status.QUARANTINED
    ).update(status=Status.TRUSTED, reason="", sightings=F("sightings") + 1, updated_at=now)


def count_recalls(*, recalled: Iterable[int], helped: Iterable[int], checked: bool, now: datetime) -> None:
    """Adds to the evidence of items within the caller's transaction; retires what never helps.

    `checked`: something found the run's answer right or wrong. An answer that nothing checked shows nothing of what
    an item is worth, so it counts neither for it nor against it.
    """
    recalled_ids, helped_ids = sorted(set(recalled)), sorted(set(helped))
    if not recalled_ids and not helped_ids:
        return
    # Locked in key order first, so that two ingests never wait for each other in a circle.
    list(MemoryItem.objects.select_for_update().filter(pk__in=recalled_ids).order_by("pk").values_list("pk"))
    given = MemoryItem.objects.filter(pk__in=recalled_ids)
    given.update(recalled_count=F("recalled_count") + 1)
    if not checked:
        return
    given.update(checked_count=F("checked_count") + 1)
    MemoryItem.objects.filter(pk__in=helped_ids).update(helped_count=F("helped_count") + 1)
    useless = given.filter(checked_count__gte=RETIRE_AFTER_RECALLS, helped_count=0)
    retire(useless, reason=Reason.NEVER_HELPED, now=now)


@requires("learning.retire_memory")
def retire_items(*, item_ids: Iterable[int], by: Actor, origin: str) -> int:
    """Takes items out of recall; they stay as a record. Returns how many changed."""
    changes = {"status": Status.RETIRED, "reason": Reason.BY_HAND}
    return _change(item_ids, changes, action="retire memory", by=by, origin=origin)


@requires("learning.trust_memory")
def trust_items(*, item_ids: Iterable[int], by: Actor, origin: str) -> int:
    """Vouches for items, so that runs recall them again; returns how many changed.

    Of an item whose page says something else by now the next visit decides again. What a correction has replaced stays
    as it is: its successor is recalled.
    """
    changes = {"status": Status.TRUSTED, "reason": ""}
    return _change(item_ids, changes, action="trust memory", by=by, origin=origin)


def _change(item_ids: Iterable[int], changes: dict[str, Any], *, action: str, by: Actor, origin: str) -> int:
    chosen = MemoryItem.objects.filter(pk__in=list(item_ids))
    with transaction.atomic():
        _lock_memory_of(chosen)
        movable = chosen.filter(replaced_by=None).exclude(status=changes["status"])
        changed = movable.update(**changes, updated_at=timezone.now())
        record_audit(actor=by, origin=origin, action=action, subject=f"{changed} items")
        announce("ingest")
    return changed


@requires("learning.purge_memory")
def purge_memory(*, host_id: int | None, outcome_id: int | None, since: datetime | None, by: Actor, origin: str) -> int:
    """Forgets items of a host, of one outcome, or learned since a time; returns how many.

    Raises InvalidInput when nothing of it is said.
    """
    if host_id is None and outcome_id is None and since is None:
        raise InvalidInput("Say what to forget: a host, an outcome or a time.")
    chosen = MemoryItem.objects.all()
    if host_id is not None:
        chosen = chosen.filter(host_id=host_id)
    if outcome_id is not None:
        chosen = chosen.filter(evidence__outcome_id=outcome_id)
    if since is not None:
        # What was rewritten since then holds what was first seen since then.
        seen_before = MemoryEvidence.objects.filter(
            item=OuterRef("pk"), content_hash=OuterRef("content_hash"), created_at__lt=since
        )
        rewritten = Q(updated_at__gte=since) & ~Exists(seen_before)
        chosen = chosen.filter(Q(created_at__gte=since) | rewritten)
    with transaction.atomic():
        if host_id is None:
            _lock_memory_of(chosen)
        else:
            # It may have passages and no item yet.
            lock_memory(host_id)
        ids = list(chosen.values_list("pk", flat=True))
        passages = _forget_indexed(chosen.filter(kind=MemoryItem.Kind.PAGE), host_id=host_id, since=since)
        with connection.cursor() as cursor:
            # Evidence of what is forgotten goes with it; the outcomes themselves stay.
            cursor.execute("SET LOCAL lealife.purging = 'on'")
        MemoryEvidence.objects.filter(item_id__in=ids).delete()
        MemoryItem.objects.filter(pk__in=ids).delete()
        host = Host.objects.filter(pk=host_id or 0).values_list("name", flat=True).first()
        scope = {"host": host, "outcome": outcome_id, "since": since and since.isoformat()}
        details = {"passages": passages, **{name: value for name, value in scope.items() if value}}
        record_audit(actor=by, origin=origin, action="purge memory", subject=f"{len(ids)} items", details=details)
        announce("ingest")
    return len(ids)


def _forget_indexed(items: QuerySet[MemoryItem], *, host_id: int | None, since: datetime | None) -> int:
    """Takes the pages of these items out of the site index, and all that were indexed for a host or since a time.

    Returns how many passages went with them. The crawl reads the pages again: a purge forgets what was read, not that
    they are there.
    """
    of_items = Exists(items.filter(host_id=OuterRef("host_id"), url=OuterRef("url")))
    pages = IndexedPage.objects.filter(of_items)
    if host_id is not None or since is not None:
        indexed = IndexedPage.objects.all() if host_id is None else IndexedPage.objects.filter(host_id=host_id)
        pages |= indexed if since is None else indexed.filter(updated_at__gte=since)
    again = Exists(pages.filter(host_id=OuterRef("host_id"), url_digest=OuterRef("url_digest")))
    read = FrontierPage.objects.filter(again, state=FrontierPage.State.READ)
    read.update(state=FrontierPage.State.KNOWN, not_before=Now())
    return forget_pages(pages)
