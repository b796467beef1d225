"""Memory items: keyed upserts, quarantine and what confirms, retirement and purge."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.postgres.search import SearchVector
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value
from django.utils import timezone

from lealife.lib.actors import Actor, requires
from lealife.lib.announce import announce
from lealife.lib.digest import digest_value
from lealife.lib.errors import InvalidInput
from lealife.lib.statements import run_statement
from learning.models import FrontierPage, MemoryEvidence, MemoryItem
from training.audit import record_audit
from training.models import TrainingOutcome

# English stems, title above text: what a page is called says more than what it mentions.
SEARCH_CONFIG = "english"
# Bytes of a page that are searched. A tsvector holds 1 MB; with words split apart this many always fit.
SEARCHED_BYTES = 250_000
MEMORY_LOCK = 0x4C6549
# An item recalled this often without ever having been followed to a success is worth nothing.
RETIRE_AFTER_RECALLS = 40


@dataclass(frozen=True, slots=True)
class Lesson:
    """One thing an outcome teaches: `key` says what makes it the same item next time."""

    kind: str
    key: str
    url: str
    title: str
    text: str
    content_hash: str
    searched: str
    data: dict[str, Any] = field(default_factory=dict)


def item_key(kind: str, *parts: object) -> str:
    """The key of an item: sha256 over its kind and what makes it one."""
    return digest_value([kind, *[str(part) for part in parts]])


def lock_memory(*host_ids: int) -> None:
    """Holds the memory of these hosts until the transaction ends.

    Two outcomes of a host teach the same pages and were shown each other's: without this their transactions
    would insert one key twice, or wait for each other's items in a circle.
    """
    # In one order, so that two of several hosts never wait for each other in a circle.
    for key in sorted({host_id % 2**31 for host_id in host_ids}):
        run_statement("SELECT pg_advisory_xact_lock(%(lock)s::int, %(host)s::int)", {"lock": MEMORY_LOCK, "host": key})


def _lock_memory_of(items: QuerySet[MemoryItem]) -> None:
    # Before any of the rows: whoever ingests holds the count of its items and may want one of these next.
    lock_memory(*items.order_by().values_list("host_id", flat=True).distinct())


def store_lessons(*, outcome: TrainingOutcome, lessons: Iterable[Lesson], now: datetime) -> int:
    """Upserts the lessons of one outcome within the caller's transaction; returns how many items it touched.

    An item is trusted once two independent sightings agree on its content: two outcomes, or one outcome and
    the curriculum's own fetch of the same page. Content that changed goes back to quarantine.
    """
    wanted = {lesson.key: lesson for lesson in lessons}
    known = {
        item.key: item
        for item in MemoryItem.objects.select_for_update()
        .filter(host_id=outcome.host_id, key__in=wanted)
        .order_by("key")
    }
    crawled = _crawled_contents(outcome.host_id, wanted.values())
    for key in sorted(wanted):
        lesson = wanted[key]
        item = known.get(key)
        if item is None:
            item = _insert(outcome, lesson, trusted=lesson.content_hash in crawled)
        else:
            _confirm(item, lesson, crawled=lesson.content_hash in crawled, now=now)
        MemoryEvidence.objects.bulk_create(
            [MemoryEvidence(item=item, outcome=outcome, url=lesson.url, content_hash=lesson.content_hash)],
            ignore_conflicts=True,
        )
    return len(wanted)


def _crawled_contents(host_id: int, lessons: Iterable[Lesson]) -> set[str]:
    hashes = {lesson.content_hash for lesson in lessons if lesson.content_hash}
    found = FrontierPage.objects.filter(host_id=host_id, snapshot_id__in=hashes)
    return set(found.values_list("snapshot_id", flat=True))


def _insert(outcome: TrainingOutcome, lesson: Lesson, *, trusted: bool) -> MemoryItem:
    item = MemoryItem.objects.create(
        host_id=outcome.host_id,
        kind=lesson.kind,
        key=lesson.key,
        status=MemoryItem.Status.TRUSTED if trusted else MemoryItem.Status.QUARANTINED,
        url=lesson.url,
        title=lesson.title,
        text=lesson.text,
        data=lesson.data,
        content_hash=lesson.content_hash,
        sightings=2 if trusted else 1,
        first_outcome=outcome,
    )
    _index(item.pk, lesson)
    return item


def _confirm(item: MemoryItem, lesson: Lesson, *, crawled: bool, now: datetime) -> None:
    if item.content_hash == lesson.content_hash:
        trusted = Q(status=MemoryItem.Status.QUARANTINED)
        MemoryItem.objects.filter(pk=item.pk).update(sightings=F("sightings") + 1, updated_at=now, data=lesson.data)
        MemoryItem.objects.filter(trusted, pk=item.pk).update(status=MemoryItem.Status.TRUSTED)
        return
    MemoryItem.objects.filter(pk=item.pk).exclude(status=MemoryItem.Status.RETIRED).update(
        status=MemoryItem.Status.TRUSTED if crawled else MemoryItem.Status.QUARANTINED,
        title=lesson.title,
        text=lesson.text,
        data=lesson.data,
        content_hash=lesson.content_hash,
        sightings=2 if crawled else 1,
        updated_at=now,
    )
    _index(item.pk, lesson)


def confirm_crawled(*, host_id: int, content_hash: str, now: datetime) -> int:
    """The curriculum's own fetch saw the same content: quarantined items read from it are trusted now."""
    lock_memory(host_id)
    return MemoryItem.objects.filter(
        host_id=host_id, content_hash=content_hash, status=MemoryItem.Status.QUARANTINED
    ).update(status=MemoryItem.Status.TRUSTED, sightings=F("sightings") + 1, updated_at=now)


def _index(item_id: int, lesson: Lesson) -> None:
    MemoryItem.objects.filter(pk=item_id).update(
        search=SearchVector(Value(split_identifiers(lesson.title)), weight="A", config=SEARCH_CONFIG)
        + SearchVector(
            Value(split_identifiers(cut_bytes(lesson.searched, SEARCHED_BYTES))), weight="B", config=SEARCH_CONFIG
        )
    )


def split_identifiers(text: str) -> str:
    """The text with dots, underscores, slashes and hyphens as spaces: `os.path_join` is found by “join”.

    Postgres keeps `os.path` as one host-like word and a hyphenated word beside its parts; asking and storing must
    split alike.
    """
    return re.sub(r"[\x00._/\\:=()\[\]{}<>|-]+", " ", text)


def cut_bytes(text: str, most: int) -> str:
    """The beginning of the text that fits into `most` bytes of UTF-8."""
    return text.encode()[:most].decode(errors="ignore")


def count_recalls(*, recalled: Iterable[int], helped: Iterable[int]) -> None:
    """Adds to the evidence of items within the caller's transaction; retires what never helps."""
    recalled_ids, helped_ids = sorted(set(recalled)), sorted(set(helped))
    # Locked in key order first, so that two ingests never wait for each other in a circle.
    list(MemoryItem.objects.select_for_update().filter(pk__in=recalled_ids).order_by("pk").values_list("pk"))
    MemoryItem.objects.filter(pk__in=recalled_ids).update(recalled_count=F("recalled_count") + 1)
    MemoryItem.objects.filter(pk__in=helped_ids).update(helped_count=F("helped_count") + 1)
    useless = MemoryItem.objects.filter(pk__in=recalled_ids, recalled_count__gte=RETIRE_AFTER_RECALLS, helped_count=0)
    useless.update(status=MemoryItem.Status.RETIRED)


@requires("learning.retire_memory")
def retire_items(*, item_ids: Iterable[int], by: Actor, origin: str) -> int:
    """Takes items out of recall; they stay as a record. Returns how many changed."""
    chosen = MemoryItem.objects.filter(pk__in=list(item_ids))
    with transaction.atomic():
        _lock_memory_of(chosen)
        changed = (
            chosen.exclude(status=MemoryItem.Status.RETIRED)
            .update(status=MemoryItem.Status.RETIRED, updated_at=timezone.now())
        )
        record_audit(actor=by, origin=origin, action="retire memory", subject=f"{changed} items")
        announce("ingest")
    return changed


@requires("learning.purge_memory")
def purge_memory(
    *, host_id: int | None, outcome_id: int | None, since: datetime | None, by: Actor, origin: str
) -> int:
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
        _lock_memory_of(chosen)
        ids = list(chosen.values_list("pk", flat=True))
        with connection.cursor() as cursor:
            # Evidence of what is forgotten goes with it; the outcomes themselves stay.
            cursor.execute("SET LOCAL lealife.purging = 'on'")
        MemoryEvidence.objects.filter(item_id__in=ids).delete()
        MemoryItem.objects.filter(pk__in=ids).delete()
        record_audit(actor=by, origin=origin, action="purge memory", subject=f"{len(ids)} items")
        announce("ingest")
    return len(ids)
