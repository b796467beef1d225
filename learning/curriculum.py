"""Curriculum: verifiable tasks seeded from the website itself, held-out ones apart from the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import F

from lealife.lib.announce import announce
from lealife.lib.digest import digest_bytes, unit_interval
from learning.memory import confirm_crawled
from learning.models import CurriculumTask, FrontierPage
from training.agent.browser import Browser, Page
from training.agent.errors import AgentError, ErrorCode
from training.agent.page import ParsedPage, canonical_url, parse_page
from training.models import Host, TrainingSource
from training.models.sources import queue_rank
from training.runs import keep_snapshot

FRONTIER_MAX = 2_000
DEPTH_MAX = 4
# What an error page says is nothing to be asked for.
OK_BELOW = 400
SERVER_ERROR = 500
EVALUATION_SHARE = 0.3
TASKS_PER_PAGE = {CurriculumTask.Split.TRAIN: 1, CurriculumTask.Split.EVALUATION: 2}
PASSAGE_LEAST, PASSAGE_MOST = 40, 160
# Enough waiting work for a while; more would only grow stale.
PENDING_ENOUGH = 60
PAGES_A_VISIT = 10
# A mastered task rests twice as long after every success in a row.
REST = timedelta(minutes=10)
REVIVED_AT_ONCE = 20
# A site that was away is asked again.
PASSING = frozenset({ErrorCode.FETCH_FAILED, ErrorCode.TIMEOUT})
ASK_AGAIN, ASK_AGAIN_LATER = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class CrawlResult:
    """What one visit of the frontier brought."""

    pages: int
    tasks: int


def split_of(url: str) -> str:
    """Train or evaluation, by a hash of the page: every task about one page is on one side.

    Of its path and query only, so that a site that moves to another port or host keeps its split.
    """
    parts = urlsplit(url)
    held_out = unit_interval("split", parts.path, parts.query) < EVALUATION_SHARE
    return CurriculumTask.Split.EVALUATION if held_out else CurriculumTask.Split.TRAIN


def find_hungry_host(*, now: datetime) -> Host | None:
    """A host whose curriculum runs low and whose frontier has a page to read; least recently served first."""
    for host in Host.objects.filter(enabled=True, seed_curriculum=True).order_by(
        F("last_served_at").asc(nulls_first=True), "id"
    ):
        start = canonical_url(host.base_url)
        FrontierPage.objects.get_or_create(
            host=host, url_digest=digest_bytes(start.encode()), defaults={"url": start, "not_before": now}
        )
        waiting = TrainingSource.objects.ready(now=now).curriculum().filter(host=host)[:PENDING_ENOUGH].count()
        if waiting < PENDING_ENOUGH and FrontierPage.objects.due(now=now).filter(host=host).exists():
            return host
    return None


def crawl_host(
    *,
    host: Host,
    browser: Browser,
    now: datetime,
    pages: int = PAGES_A_VISIT,
    should_stop: Callable[[], bool] = lambda: False,
) -> CrawlResult:
    """Reads a few pages of the frontier, breadth first, and makes tasks of them. Network outside transactions.

    A page that did not come is asked for again later; one that is no page is not. `should_stop` is asked before
    each.
    """
    read = made = 0
    for entry in (
        FrontierPage.objects.due(now=now).filter(host=host).select_related("host").order_by("depth", "id")[:pages]
    ):
        if should_stop():
            break
        read += 1
        try:
            page = browser.fetch(entry.url)
        except AgentError as error:
            _set_aside(entry, code=error.code, passes=error.code in PASSING, now=now)
            continue
        if page.status >= OK_BELOW:
            _set_aside(entry, code=ErrorCode.FETCH_FAILED, passes=page.status >= SERVER_ERROR, now=now)
            continue
        made += learn_page(entry=entry, page=page, now=now)
    return CrawlResult(read, made)


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
        rows.update(state=FrontierPage.State.UNREADABLE, error_code=str(code))
        return
    # The first failure may be a moment's; after that the site is asked once an hour.
    rows.update(error_code=str(code), not_before=now + (ASK_AGAIN_LATER if entry.error_code else ASK_AGAIN))


def learn_page(*, entry: FrontierPage, page: Page, now: datetime) -> int:
    """Stores a crawled page: its links join the frontier, its passages become tasks. Returns the tasks made."""
    url = canonical_url(page.final_url)
    try:
        parsed = parse_page(body=page.body, media_type=page.media_type, url=url, site=entry.host.as_site())
    except AgentError as error:
        _set_aside(entry, code=error.code, passes=False, now=now)
        return 0
    with transaction.atomic():
        moved = FrontierPage.objects.filter(pk=entry.pk, state=FrontierPage.State.KNOWN).update(
            state=FrontierPage.State.READ,
            snapshot=None
            if parsed.noindex
            else keep_snapshot(page.body, digest=page.digest, media_type=page.media_type),
        )
        if not moved:
            return 0
        _extend_frontier(entry, parsed)
        if parsed.noindex:
            return 0
        confirm_crawled(host_id=entry.host_id, content_hash=page.digest, now=now)
        # The start page is where every run begins: nothing has to be found to reach it.
        tasks = _make_tasks(entry, url, parsed) if entry.depth else []
        _queue_training(entry.host, tasks, now=now)
        announce("sources")
        return len(tasks)


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


def _make_tasks(entry: FrontierPage, url: str, parsed: ParsedPage) -> list[CurriculumTask]:
    """Tasks about passages that no other known page says: a question must have one answer."""
    # Plain text may hold NUL, Postgres cannot.
    passages = list(dict.fromkeys(" ".join(text.replace("\x00", " ").split()) for text in parsed.passages))
    keys = {passage_key(passage): passage for passage in passages}
    others = FrontierPage.objects.filter(host=entry.host, passage_keys__overlap=list(keys)).exclude(pk=entry.pk)
    said_elsewhere = {key for row in others.values_list("passage_keys", flat=True) for key in row}
    FrontierPage.objects.filter(pk=entry.pk).update(passage_keys=list(keys))
    if said_elsewhere:
        _withdraw_ambiguous(entry.host, url=url, keys=said_elsewhere & set(keys))
    split = split_of(url)
    own = [passage for passage in passages if passage_key(passage) not in said_elsewhere]
    return CurriculumTask.objects.bulk_create(
        CurriculumTask(
            host=entry.host,
            split=split,
            expected_url=url,
            page_digest=digest_bytes(url.encode()),
            passage=passage,
            prompt=f"Which page says “{passage}”?",
            check_spec={"expected_urls": [url]},
        )
        for passage in choose_passages(own, count=TASKS_PER_PAGE[CurriculumTask.Split(split)])
    )


def passage_key(passage: str) -> int:
    """A signed 64-bit number that stands for a passage, case aside."""
    return int.from_bytes(hashlib.sha256(passage.casefold().encode()).digest()[:8], signed=True)


def _withdraw_ambiguous(host: Host, *, url: str, keys: set[int]) -> None:
    """A later page says what an earlier task asks for: the task has two answers now and is asked no more.

    A run in flight goes to its end; its cancelled source is not tried again.
    """
    asked = CurriculumTask.objects.filter(host=host, ambiguous=False).exclude(expected_url=url)
    # Compared by key, as pages are: case aside.
    ids = [pk for pk, passage in asked.values_list("pk", "passage") if passage_key(passage) in keys]
    ambiguous = CurriculumTask.objects.filter(pk__in=ids)
    TrainingSource.objects.filter(
        pk__in=ambiguous.values("source_id"), status__in=["pending", "claimed", "disabled", "done"]
    ).update(status=TrainingSource.Status.CANCELLED, status_reason="Another page says the same.")
    ambiguous.update(ambiguous=True)


def choose_passages(passages: list[str], *, count: int) -> list[str]:
    """Those that read like statements: 40–160 characters, words more than signs, spread over the page."""
    good = [
        passage for passage in passages if PASSAGE_LEAST <= len(passage) <= PASSAGE_MOST and _reads_like_prose(passage)
    ]
    if len(good) <= count:
        return good
    stride = len(good) / count
    return [good[int(index * stride)] for index in range(count)]


def _reads_like_prose(passage: str) -> bool:
    letters = sum(character.isalpha() or character == " " for character in passage)
    return letters / len(passage) > 0.85 and len(passage.split()) >= 6 and not set('“”"') & set(passage)


def _queue_training(host: Host, tasks: list[CurriculumTask], *, now: datetime) -> None:
    for task in tasks:
        if task.split != CurriculumTask.Split.TRAIN:
            continue
        task.source = TrainingSource.objects.create(
            kind=TrainingSource.Kind.CURRICULUM,
            title=task.prompt[:200],
            prompt=task.prompt,
            host=host,
            check_spec=task.check_spec,
            queued_from="curriculum",
            queue_rank=queue_rank(queued_at=now, priority=0),
        )
        task.save(update_fields=["source"])


def find_rested_sources(*, now: datetime, limit: int = REVIVED_AT_ONCE) -> list[int]:
    """Finished curriculum sources whose rest is over, once nothing else is ready.

    Those that failed come back to be tried with what has been learned since, least practised first; those that
    are mastered rest twice as long after each success in a row.
    """
    if TrainingSource.objects.ready(now=now).curriculum().exists():
        return []
    rested = CurriculumTask.objects.filter(
        source__status__in=[TrainingSource.Status.DONE, TrainingSource.Status.DISABLED],
        source__finished_at__lt=now - REST,
        source__host__enabled=True,
        ambiguous=False,
    ).order_by("streak", "attempts", "id")
    return [
        task.source_id
        for task in rested.select_related("source")[: limit * 5]
        if task.source and task.source.finished_at < now - REST * 2 ** min(task.streak, 10)
    ][:limit]


def revive_rested_tasks(*, now: datetime) -> int:
    """Puts rested sources back into the queue; returns how many.

    They count as never finished from then on: what staff disable while it waits has no rest to wake from.
    """
    rested = [TrainingSource.Status.DONE, TrainingSource.Status.DISABLED]
    revived = TrainingSource.objects.filter(pk__in=find_rested_sources(now=now), status__in=rested).update(
        status=TrainingSource.Status.PENDING,
        finished_at=None,
        failed_attempts=0,
        not_before=None,
        queue_rank=queue_rank(queued_at=now, priority=0),
        status_reason="Rested; tried again.",
    )
    if revived:
        announce("sources")
    return revived
