"""Curriculum: verifiable tasks seeded from the website itself, held-out ones kept separate."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import ExpressionWrapper, F, FloatField, OuterRef, Q, Value
from django.db.models.functions import Greatest

from lealife.core.announce import announce
from lealife.core.digest import digest_bytes
from lealife.core.row_count import RowCount
from learning.curriculum.tasks import make_tasks
from learning.index.indexing import forget_addresses, index_page
from learning.memory import confirm_crawled, lock_memory
from learning.missing import PASSING, PASSING_STATUSES, learn_missing_page, read_missing_digest, says_missing
from learning.models import CurriculumTask, FrontierPage
from training.agent.errors import AgentError, ErrorCode
from training.agent.reading.page import ParsedPage, parse_page
from training.agent.web.address import canonical_url
from training.agent.web.browser import ERRORS_FROM, Browser, Page
from training.models import Host, TrainingSource
from training.models.sources import queue_rank
from training.runs import keep_snapshot

FRONTIER_MAX = 2_000
DEPTH_MAX = 4
SERVER_ERROR = 500
PAGES_A_VISIT = 10
# A task rests twice as long after every success in a row, up to a week; a mastered one rests the week.
REST, DOUBLED_MOST = timedelta(minutes=10), 10
REVIVED_AT_ONCE = 20
# A page that was read is looked at again after a day; after twice as long each time that it has not changed.
LOOK_AGAIN, LOOKS_DOUBLED_MOST = timedelta(days=1), 4
# A site that was away is asked again.
ASK_AGAIN, ASK_AGAIN_LATER = timedelta(minutes=1), timedelta(hours=1)


def find_unread_host(*, now: datetime) -> Host | None:
    """A host whose frontier has a page to read; the one of which fewest were read comes first."""
    read = FrontierPage.objects.filter(host=OuterRef("pk"), state=FrontierPage.State.READ).order_by()
    hosts = Host.objects.filter(enabled=True, seed_curriculum=True).annotate(read=RowCount(read))
    for host in hosts.order_by("read", "id"):
        start = canonical_url(host.base_url)
        FrontierPage.objects.get_or_create(
            host=host, url_digest=digest_bytes(start.encode()), defaults={"url": start, "not_before": now}
        )
        if FrontierPage.objects.due(now=now).filter(host=host).exists():
            return host
    return None


def crawl_host(
    *,
    host: Host,
    browser: Browser,
    now: datetime,
    pages: int = PAGES_A_VISIT,
    should_stop: Callable[[], bool] = lambda: False,
) -> int:
    """Reads a few pages of the frontier, breadth first, into the index, and makes tasks of them; returns how many.

    Network outside transactions. A page that did not come is asked for again later; one that is no page is not.
    `should_stop` is asked before each.
    """
    read = 0
    learn_missing_page(host=host, browser=browser, now=now)
    due = FrontierPage.objects.due(now=now).filter(host=host).select_related("host")
    for entry in due.order_by("depth", "id")[:pages]:
        if should_stop():
            break
        read += 1
        try:
            page = browser.fetch(entry.url)
        except AgentError as error:
            _set_aside(entry, code=error.code, passes=error.code in PASSING, now=now)
            continue
        if page.status >= ERRORS_FROM:
            passes = page.status >= SERVER_ERROR or page.status in PASSING_STATUSES
            _set_aside(entry, code=ErrorCode.FETCH_FAILED, passes=passes, now=now)
            continue
        learn_page(entry=entry, page=page, now=now)
    return read


def reopen_blocked_pages(*, host_id: int, now: datetime) -> int:
    """Makes pages due again that the host's own rules refused, after those rules have changed; returns how many."""
    blocked = FrontierPage.objects.filter(
        host_id=host_id, state=FrontierPage.State.UNREADABLE, error_code=ErrorCode.BLOCKED_BY_POLICY
    )
    reopened = blocked.update(state=FrontierPage.State.KNOWN, error_code="", not_before=now)
    if reopened:
        announce("sources")
    return reopened


def _set_aside(entry: FrontierPage, *, code: ErrorCode, passes: bool, now: datetime) -> None:
    rows = FrontierPage.objects.filter(pk=entry.pk)
    if not passes:
        with transaction.atomic():
            rows.update(state=FrontierPage.State.UNREADABLE, error_code=str(code))
            lock_memory(entry.host_id)
            forget_addresses(host_id=entry.host_id, urls=[entry.url])
        return
    # The first failure may be a moment's; after that the site is asked once an hour.
    rows.update(error_code=str(code), not_before=now + (ASK_AGAIN_LATER if entry.error_code else ASK_AGAIN))


def learn_page(*, entry: FrontierPage, page: Page, now: datetime) -> None:
    """Stores a crawled page: its links join the frontier, its passages the index, and tasks are made of it."""
    url = canonical_url(page.final_url)
    try:
        parsed = parse_page(body=page.body, media_type=page.media_type, url=url, site=entry.host.as_site())
    except AgentError as error:
        _set_aside(entry, code=error.code, passes=False, now=now)
        return
    if says_missing(parsed, missing_digest=read_missing_digest(entry.host_id)):
        _set_aside(entry, code=ErrorCode.FETCH_FAILED, passes=False, now=now)
        return
    with transaction.atomic():
        entry.content_digest = "" if parsed.noindex else parsed.content_digest
        moved = FrontierPage.objects.filter(pk=entry.pk, state=FrontierPage.State.KNOWN).update(
            state=FrontierPage.State.READ,
            snapshot=None
            if parsed.noindex
            else keep_snapshot(page.body, digest=page.digest, media_type=page.media_type),
            content_digest=entry.content_digest,
            **name_next_look(page, unchanged=0, now=now),
        )
        if not moved:
            return
        _extend_frontier(entry, parsed)
        if parsed.noindex:
            lock_memory(entry.host_id)
            forget_addresses(host_id=entry.host_id, urls=[entry.url, url])
            return
        confirm_crawled(host_id=entry.host_id, content_hash=entry.content_digest, now=now)
        index_page(host_id=entry.host_id, url=url, page=parsed, snapshot_digest=page.digest, now=now)
        make_tasks(entry, url=url, parsed=parsed, now=now)
        announce("sources")


def name_next_look(page: Page, *, unchanged: int, now: datetime) -> dict[str, Any]:
    """The columns of a page that was read: when it is looked at again, and by what a server tells whether it changed.

    `unchanged` looks in a row found it as it was.
    """
    return {
        "not_before": now + LOOK_AGAIN * 2 ** min(unchanged, LOOKS_DOUBLED_MOST),
        "unchanged": unchanged,
        "etag": page.validators.etag,
        "last_modified": page.validators.last_modified,
        "error_code": "",
    }


def _extend_frontier(entry: FrontierPage, parsed: ParsedPage) -> None:
    if entry.depth >= DEPTH_MAX:
        return
    room = FRONTIER_MAX - FrontierPage.objects.filter(host=entry.host).count()
    links = list(dict.fromkeys(canonical_url(link.url) for link in parsed.links))[: max(0, room)]
    FrontierPage.objects.bulk_create(
        [
            FrontierPage(host=entry.host, url=link, url_digest=digest_bytes(link.encode()), depth=entry.depth + 1)
            for link in links
        ],
        ignore_conflicts=True,
    )


def find_rested_sources(*, now: datetime, limit: int = REVIVED_AT_ONCE, may_wake: bool = False) -> list[int]:
    """Finished curriculum sources whose rest is over, once nothing else is ready; with `may_wake` those that rest too.

    First those of which one more run says most: with a share p of successes a run moves what is known by p(1 - p).
    Of equals the least practised, then those that words alone do not find.
    """
    if TrainingSource.objects.ready(now=now).curriculum().exists():
        return []
    p = (F("successes") + 1.0) / (F("attempts") + 2.0)
    rested = (
        CurriculumTask.objects.asked()
        .annotate(doubled=Greatest("streak", F("attempts") - 2 * F("successes"), Value(0)))
        .filter(
            Q(source__finished_at__isnull=False) if may_wake else _is_rested(now=now),
            source__status__in=[TrainingSource.Status.DONE, TrainingSource.Status.DISABLED],
            source__host__enabled=True,
        )
        .annotate(moves=ExpressionWrapper(p * (1.0 - p), output_field=FloatField()))
        .order_by("-moves", "attempts", F("difficulty").desc(nulls_last=True), "id")
    )
    return list(rested.values_list("source_id", flat=True)[:limit])


def _is_rested(*, now: datetime) -> Q:
    """Rests double with each success in a row, and with each failure that no success makes up for."""
    rested = Q(pk=None)
    for doubled in range(DOUBLED_MOST + 1):
        at = Q(doubled=doubled) if doubled < DOUBLED_MOST else Q(doubled__gte=doubled)
        rested |= at & Q(source__finished_at__lt=now - REST * 2**doubled)
    mastered = Q(streak__gte=CurriculumTask.MASTERED)
    return (rested & ~mastered) | (mastered & Q(source__finished_at__lt=now - REST * 2**DOUBLED_MOST))


def revive_rested_tasks(*, now: datetime, may_wake: bool = False) -> int:
    """Puts rested sources back into the queue, with `may_wake` those that rest too; returns how many.

    They count as never finished from then on: what staff disable while it waits has no rest to wake from.
    """
    rested = [TrainingSource.Status.DONE, TrainingSource.Status.DISABLED]
    revived = TrainingSource.objects.filter(
        pk__in=find_rested_sources(now=now, may_wake=may_wake), status__in=rested
    ).update(
        status=TrainingSource.Status.PENDING,
        finished_at=None,
        failed_attempts=0,
        not_before=None,
        queue_rank=queue_rank(queued_at=now, priority=0),
        status_reason="Tried again after a pause.",
    )
    if revived:
        announce("sources")
    return revived
