"""Looking again: whether pages that were read have changed, at a rhythm that slows down while they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from django.db import transaction
from django.db.models.functions import Now

from lealife.core.actors import Actor, requires
from lealife.core.announce import announce
from learning.curriculum.seeding import ASK_AGAIN_LATER, PAGES_A_VISIT, learn_page, name_next_look
from learning.expiry import close_page, expire_page, learn_presence
from learning.memory import confirm_crawled, lock_memory
from learning.missing import GONE, GONE_FOR_GOOD, OK_BELOW, read_missing_digest, says_missing
from learning.models import FrontierPage
from training.agent.errors import AgentError, ErrorCode
from training.agent.reading.page import ParsedPage, parse_page
from training.agent.web.address import canonical_url
from training.agent.web.browser import UNCHANGED, Page, RevisitingBrowser, Validators
from training.audit import record_audit
from training.models import Host


def find_rested_host(*, now: datetime) -> Host | None:
    """The host of the page that has waited longest to be looked at again."""
    entry = FrontierPage.objects.rested(now=now).select_related("host").first()
    return entry.host if entry is not None else None


def look_again(
    *,
    host: Host,
    browser: RevisitingBrowser,
    now: datetime,
    pages: int = PAGES_A_VISIT,
    should_stop: Callable[[], bool] = lambda: False,
) -> int:
    """Looks at a few pages of the host again; returns how many. Network outside transactions.

    A page that changed is read anew, with new tasks; one that is gone is forgotten, at the second look unless the
    server says that it is gone for good. `should_stop` is asked before each.
    """
    looked = 0
    for entry in FrontierPage.objects.rested(now=now).filter(host=host).select_related("host")[:pages]:
        if should_stop():
            break
        looked += 1
        try:
            page = browser.fetch(entry.url, held=Validators(entry.etag, entry.last_modified))
        except AgentError as error:
            _miss(entry, code=error.code, gone_status=0, now=now)
            continue
        if page.status >= OK_BELOW:
            gone = page.status if page.status in GONE else 0
            _miss(entry, code=ErrorCode.FETCH_FAILED, gone_status=gone, now=now)
        else:
            _compare(entry, page, now=now)
    return looked


@requires("learning.read_again")
def read_again(*, host_ids: Iterable[int], by: Actor, origin: str) -> int:
    """Makes all pages of these hosts due, those too that could not be read; returns how many."""
    pages = FrontierPage.objects.filter(host_id__in=list(host_ids))
    with transaction.atomic():
        due = pages.filter(state=FrontierPage.State.READ).update(not_before=Now())
        due += pages.exclude(state=FrontierPage.State.READ).update(
            state=FrontierPage.State.KNOWN, error_code="", not_before=Now()
        )
        record_audit(actor=by, origin=origin, action="read again", subject=f"{due} pages")
        announce("sources")
    return due


def _compare(entry: FrontierPage, page: Page, *, now: datetime) -> None:
    """Reads the page anew when it says something else than before."""
    if page.status == UNCHANGED:
        _keep(entry, page, content_digest=entry.content_digest, now=now)
        return
    url = canonical_url(page.final_url)
    try:
        parsed = parse_page(body=page.body, media_type=page.media_type, url=url, site=entry.host.as_site())
    except AgentError as error:
        _miss(entry, code=error.code, gone_status=0, now=now)
        return
    if says_missing(parsed, missing_digest=read_missing_digest(entry.host_id)):
        _miss(entry, code=ErrorCode.FETCH_FAILED, gone_status=min(GONE), now=now)
    elif parsed.content_digest == entry.content_digest and not parsed.noindex:
        _keep(entry, page, content_digest=parsed.content_digest, now=now)
    else:
        _forget_old(entry, parsed, url=url, now=now)
        learn_page(entry=entry, page=page, now=now)


def _keep(entry: FrontierPage, page: Page, *, content_digest: str, now: datetime) -> None:
    columns = name_next_look(page, unchanged=entry.unchanged + 1, now=now)
    if page.status == UNCHANGED:
        # The answer need not repeat what is held.
        columns |= {"etag": entry.etag, "last_modified": entry.last_modified}
    with transaction.atomic():
        confirm_crawled(host_id=entry.host_id, content_hash=content_digest, now=now)
        FrontierPage.objects.filter(pk=entry.pk, state=FrontierPage.State.READ).update(**columns)


def _forget_old(entry: FrontierPage, parsed: ParsedPage, *, url: str, now: datetime) -> None:
    """Retires what the page does not say any more, and lets it be read anew."""
    with transaction.atomic():
        lock_memory(entry.host_id)
        if parsed.noindex:
            close_page(host_id=entry.host_id, url=url, now=now)
        else:
            learn_presence(parsed, asked=entry.url, url=url, host_id=entry.host_id, now=now)
        FrontierPage.objects.filter(pk=entry.pk).update(state=FrontierPage.State.KNOWN, not_before=now)


def _miss(entry: FrontierPage, *, code: ErrorCode, gone_status: int, now: datetime) -> None:
    """Asks again in an hour, or forgets a page that is gone."""
    if gone_status == GONE_FOR_GOOD or (gone_status and entry.error_code):
        with transaction.atomic():
            lock_memory(entry.host_id)
            expire_page(host_id=entry.host_id, url=entry.url, now=now)
        return
    FrontierPage.objects.filter(pk=entry.pk, state=FrontierPage.State.READ).update(
        error_code=str(code), not_before=now + ASK_AGAIN_LATER
    )
