"""Versions: a memory item in other words of the page that it was read from."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from lealife.core.actors import Actor, requires
from lealife.core.announce import announce
from lealife.core.errors import Conflict, InvalidInput, NotFound
from learning.lessons import EXTRACT_CHARACTERS, item_key
from learning.memory import lock_memory, read_pages
from learning.memory_search import index_item
from learning.models import MemoryEvidence, MemoryItem
from training.agent.reading.page import ParsedPage
from training.agent.reading.text import squeeze
from training.audit import record_audit

Kind, Reason, Status = MemoryItem.Kind, MemoryItem.Reason, MemoryItem.Status
TITLE_CHARACTERS = 300
# What holds words of a page. An exemplar or a pitfall is a record of what a run did.
WORDED = (Kind.PAGE, Kind.ROUTE)
# What a new version has of the old one: where it comes from, and how far it is trusted.
KEPT = (
    *("host_id", "kind", "url", "data", "content_hash", "snapshot_digest", "first_outcome_id"),
    *("status", "reason", "sightings"),
)


def may_be_corrected(item: MemoryItem) -> bool:
    """Whether it holds words of a page and is not retired."""
    return item.kind in WORDED and item.status != Status.RETIRED


@requires("learning.correct_memory")
def correct_item(*, item_id: int, title: str, text: str, why: str, by: Actor, origin: str) -> MemoryItem:
    """Puts a new version in the place of an item: other words of its page, as title, text or both.

    The old version is retired and names the new one. It keeps its counts and its evidence; the new one has a copy of
    the evidence, so that a purge forgets both, and counts from 0. It is trusted no more than the old one was. Raises
    InvalidInput for words that do not stand on the kept page, and Conflict when the item cannot be corrected.
    """
    why = squeeze(why)
    if not why:
        raise InvalidInput("Say why the item is corrected.", field="why")
    with transaction.atomic():
        chosen = MemoryItem.objects.filter(pk=item_id)
        lock_memory(*chosen.values_list("host_id", flat=True))
        old = chosen.select_for_update(of=("self",)).select_related("host").first()
        if old is None:
            raise NotFound(f"There is no memory item {item_id}.")
        page = _read_page(old)
        title = _choose(title, old.title, field="title", places=(page.title, page.text), most=TITLE_CHARACTERS)
        text = _choose(text, old.text, field="text", places=(page.text,), most=EXTRACT_CHARACTERS)
        if (title, text) == (old.title, old.text):
            raise InvalidInput("These are the words that the item has.", field="text")
        new = _replace(old, title=title, text=text, corrected_by=str(by)[:150], corrected_why=why)
        index_item(new.pk, title=title, searched=page.text if new.kind == Kind.PAGE else text)
        details = {
            "before": {"item": old.pk, "title": old.title, "text": old.text},
            "after": {"item": new.pk, "title": new.title, "text": new.text},
            "why": why,
        }
        record_audit(actor=by, origin=origin, action="correct memory", subject=f"item {old.pk}", details=details)
        announce("ingest")
    return new


def _read_page(old: MemoryItem) -> ParsedPage:
    if not may_be_corrected(old):
        raise Conflict(f"Item {old.pk} is a {old.status} {old.kind}. Only pages and routes in use can be corrected.")
    page = read_pages([old]).get(old.pk)
    if page is None:
        raise Conflict(f"The page of item {old.pk} is not kept, so no words can be chosen from it.")
    return page


def _choose(words: str, before: str, *, field: str, places: tuple[str, ...], most: int) -> str:
    words = squeeze(words)
    if words == squeeze(before):
        return before
    if len(words) > most:
        raise InvalidInput(f"The {field} has {len(words)} characters; {most} are allowed.", field=field)
    if not words or not any(words in squeeze(place) for place in places):
        raise InvalidInput("The kept page does not hold these words. Memory holds words of pages only.", field=field)
    return words


def _replace(old: MemoryItem, **words: str) -> MemoryItem:
    key = old.key if old.kind == Kind.PAGE else item_key(old.kind, old.url, words["text"])
    same = MemoryItem.objects.filter(host_id=old.host_id, key=key).exclude(pk=old.pk).first()
    if same is not None:
        raise Conflict(f"Item {same.pk} already says this.")
    # A route that was replaced keeps its key, so that a run that quotes its words again does not teach it again.
    old_key = item_key("replaced", old.pk) if key == old.key else old.key
    replaced = MemoryItem.objects.filter(pk=old.pk)
    replaced.update(key=old_key, status=Status.RETIRED, reason=Reason.REPLACED, updated_at=timezone.now())
    new = MemoryItem.objects.create(**{name: getattr(old, name) for name in KEPT}, key=key, **words)
    replaced.update(replaced_by=new)
    MemoryEvidence.objects.bulk_create(
        MemoryEvidence(item=new, outcome_id=row.outcome_id, url=row.url, content_hash=row.content_hash)
        for row in old.evidence.all()
    )
    return new
