"""Looking again: whether pages that were read have changed, at a rhythm that slows down while they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from django.db import transaction
from django.db.models.functions import Now

from lealife.core.actors import Actor, requires
from lealife.core.announce import announce
from learning.curriculum.seeding import ASK_AGAIN_LATER, LOOK_AGAIN, PAGES_A_VISIT, learn_page, name_next_look
from learning.expiry import close_page, expire_page, learn_presence
from learning.memory import confirm_crawled, lock_memory
from learning.missing import read_missing_digest, says_missing
from learning.models import FrontierPage
from training.agent.errors import AgentError
from training.agent.reading.page import ParsedPage, parse_page
from training.agent.web.address import canonical_url
from training.agent.web.browser import ERRORS_FROM, UNCHANGED, Page, RevisitingBrowser, Validators
from training.audit import record_audit
from training.models import Host

# How a look that found no page is remembered.
NOT_FOUND, GONE_FOR_GOOD = "http_404", "http_410"


def find_rested_host(*, now: datetime) -> Host | None:
    """The host of the page that has waited longest to be looked at again."""
    entry = FrontierPage.objects.rested(now=now).select_related("host").first()
    return entry.host if entry is not None else None


def look_again(
    *, host: Host, browser: RevisitingBrowser, now: datetime, should_stop: Callable[[], bool] = lambda: False
) -> int:
    """Looks at a few pages of the host again; returns how many. Network outside transactions.

    A page that changed is read again, with new tasks; one that is gone is forgotten, at the second look in a row unless
    the server says that it is gone for good. `should_stop` is asked before each.
    """
    looked = 0
    for entry in FrontierPage.objects.rested(now=now).filter(host=host).select_related("host")[:PAGES_A_VISIT]:
        if should_stop():
            break
        looked += 1
        try:
            page = browser.fetch(entry.url, held=Validators(entry.etag, entry.last_modified))
        except AgentError as error:
            _miss(entry, code=error.code, now=now)
            continue
        if page.status >= ERRORS_FROM:
            _miss(entry, code=f"http_{page.status}", now=now)
        else:
            _compare(entry, page, now=now)
    return looked


@requires("learning.read_again")
def read_again(*, host_ids: Iterable[int], by: Actor, origin: str) -> int:
    """Makes all pages of these hosts due, those too that could not be read; returns how many."""
    pages = FrontierPage.objects.filter(host_id__in=list(host_ids))
    with transaction.atomic():
        # What is held is not asked about: the engine that reads the page may be another one by now.
        due = pages.filter(state=FrontierPage.State.READ).update(
            not_before=Now(), etag="", last_modified="", unchanged=0
        )
        due += pages.exclude(state=FrontierPage.State.READ).update(
            state=FrontierPage.State.KNOWN, error_code="", not_before=Now()
        )
        record_audit(actor=by, origin=origin, action="read again", subject=f"{due} pages")
        announce("sources")
    return due


def _compare(entry: FrontierPage, page: Page, *, now: datetime) -> None:
    """Reads the page again when it says something else than before."""
    if page.status == UNCHANGED:
        _keep(entry, page, content_digest=entry.content_digest, now=now)
        return
    url = canonical_url(page.final_url)
    try:
        parsed = parse_page(body=page.body, media_type=page.media_type, url=url, site=entry.host.as_site())
    except AgentError as error:
        _miss(entry, code=error.code, now=now)
        return
    if says_missing(parsed, missing_digest=read_missing_digest(entry.host_id)):
        _miss(entry, code=NOT_FOUND, now=now)
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
    """Retires what the page does not say any more, and lets it be read again."""
    with transaction.atomic():
        lock_memory(entry.host_id)
        if parsed.noindex:
            close_page(host_id=entry.host_id, url=url, now=now)
        else:
            learn_presence(parsed, asked=entry.url, url=url, host_id=entry.host_id, now=now)
        FrontierPage.objects.filter(pk=entry.pk).update(state=FrontierPage.State.KNOWN, not_before=now)


def _miss(entry: FrontierPage, *, code: str, now: datetime) -> None:
    """Forgets a page that is gone: for good, or at two looks in a row. Others are asked again, first in an hour."""
    if code == GONE_FOR_GOOD or (code == NOT_FOUND and entry.error_code == NOT_FOUND):
        with transaction.atomic():
            lock_memory(entry.host_id)
            expire_page(host_id=entry.host_id, url=entry.url, now=now)
        return
    wait = LOOK_AGAIN if entry.error_code else ASK_AGAIN_LATER
    FrontierPage.objects.filter(pk=entry.pk, state=FrontierPage.State.READ).update(
        error_code=code, not_before=now + wait
    )
