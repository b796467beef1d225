"""Expiry: pages that are gone, moved or changed take out of recall what they taught, and retire their tasks.

All of it runs within a transaction that holds the memory of the host: of an ingest, or of the crawl.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from lealife.core.digest import digest_bytes
from learning.curriculum.tasks import restore_tasks, retire_tasks
from learning.index.indexing import forget_addresses
from learning.lessons import Visit, item_key
from learning.memory import retire
from learning.missing import GONE_FOR_GOOD
from learning.models import FrontierPage, MemoryItem
from training.agent.reading.page import ParsedPage
from training.agent.reading.text import squeeze

Kind, Reason, Status = MemoryItem.Kind, MemoryItem.Reason, MemoryItem.Status
# A page that was not there on so many visits in a row is gone.
GONE_AFTER = 2


def expire_lessons(*, host_id: int, visits: Iterable[Visit], now: datetime) -> None:
    """Applies what the visits of one run say about what is remembered of their addresses."""
    for visit in visits:
        if visit.page is not None:
            learn_presence(visit.page, asked=visit.asked, url=visit.url, host_id=host_id, now=now)
        elif visit.gone_status:
            _learn_absence(visit, host_id=host_id, now=now)
        elif visit.is_closed:
            close_page(host_id=host_id, url=visit.url, now=now)


def close_page(*, host_id: int, url: str, now: datetime, reason: MemoryItem.Reason = Reason.CHANGED) -> None:
    """Takes out of recall, of the index and of the curriculum what a page taught.

    Without another `reason`: the site asks by now that nothing of the page be kept.
    """
    taught = MemoryItem.objects.filter(host_id=host_id, url=url).exclude(kind=Kind.PITFALL)
    retire(taught, reason=reason, now=now)
    retire_tasks(host_id=host_id, url=url, text="", now=now)
    forget_addresses(host_id=host_id, urls=[url])


def learn_presence(page: ParsedPage, *, asked: str, url: str, host_id: int, now: datetime) -> None:
    """Applies what a page that came says of what is remembered of `asked`, and of `url`, which answered."""
    items = MemoryItem.objects.filter(host_id=host_id)
    answered = items.filter(kind=Kind.PITFALL, url__in={asked, url})
    # The misses in a row start again from none.
    retire(answered, reason=Reason.ANSWERS, now=now)
    if asked != url:
        moved = items.filter(kind=Kind.PAGE, key=item_key("page", asked), status=Status.TRUSTED)
        moved.update(status=Status.QUARANTINED, reason=Reason.MOVED, sightings=0, updated_at=now)
        forget_addresses(host_id=host_id, urls=[asked])
    claims = items.filter(kind__in=MemoryItem.CLAIMS, url=url).exclude(status=Status.RETIRED)
    _settle_claims(claims.exclude(content_hash=page.content_digest).only("text"), page, now=now)
    text = squeeze(page.text)
    changed = retire_tasks(host_id=host_id, url=url, text=text, now=now)
    changed += restore_tasks(host_id=host_id, url=url, text=text, now=now)
    if changed:
        # The curriculum reads the page again: it may say new things to ask for.
        FrontierPage.objects.filter(
            host_id=host_id, url_digest=digest_bytes(url.encode()), state__in=FrontierPage.SETTLED
        ).update(state=FrontierPage.State.KNOWN, error_code="", not_before=now)


def _settle_claims(claims: Iterable[MemoryItem], page: ParsedPage, *, now: datetime) -> None:
    """A route or an exemplar holds while its words stand on the page; what a change took away is confirmed again."""
    text = squeeze(page.text)
    for item in claims:
        if item.text and squeeze(item.text) in text:
            MemoryItem.objects.filter(pk=item.pk).update(content_hash=page.content_digest, updated_at=now)
        else:
            MemoryItem.objects.filter(pk=item.pk, status=Status.TRUSTED).update(
                status=Status.QUARANTINED, reason=Reason.CHANGED, updated_at=now
            )


def _learn_absence(visit: Visit, *, host_id: int, now: datetime) -> None:
    items = MemoryItem.objects.filter(host_id=host_id)
    for url in {visit.asked, visit.url}:
        missed = items.filter(kind=Kind.PITFALL, key=item_key("pitfall", url, visit.gone_status))
        enough = missed.filter(sightings__gte=GONE_AFTER).exists()
        if visit.gone_status == GONE_FOR_GOOD or enough:
            expire_page(host_id=host_id, url=url, now=now)


def expire_page(*, host_id: int, url: str, now: datetime) -> None:
    """Forgets a page that is not there any more, in the frontier too."""
    close_page(host_id=host_id, url=url, now=now, reason=Reason.GONE)
    FrontierPage.objects.filter(host_id=host_id, url_digest=digest_bytes(url.encode())).update(
        state=FrontierPage.State.UNREADABLE,
        error_code="fetch_failed",
        passage_keys=[],
        repeated_keys=[],
        content_digest="",
    )
