"""Missing pages: what a site says of addresses that do not exist, also when it answers them with status 200."""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from urllib.parse import unquote, urljoin, urlsplit

from lealife.core.digest import digest_bytes
from learning.models import MissingPage
from training.agent.errors import AgentError, ErrorCode
from training.agent.reading.page import ParsedPage, parse_page
from training.agent.web.browser import ERRORS_FROM, Browser
from training.agent.web.pace import LATER_STATUSES, NOT_NOW
from training.models import Host

GONE = frozenset({404, 410})
# A page that says so is gone for good; one that is not found may be back in a minute.
GONE_FOR_GOOD = 410
ASK_AGAIN = timedelta(days=1)
# Failures and statuses that say nothing about what was asked for.
PASSING = frozenset({ErrorCode.FETCH_FAILED, ErrorCode.TIMEOUT})
PASSING_STATUSES = LATER_STATUSES | NOT_NOW
_WORD = re.compile(r"\w+")


def digest_apart(page: ParsedPage) -> str:
    """SHA-256 hex of what a page says, the words of its own address left out: error pages like to repeat them."""
    parts = urlsplit(page.url)
    own = set(_WORD.findall(unquote(f"{parts.netloc} {parts.path} {parts.query}").casefold()))
    said = [word for word in _WORD.findall(f"{page.title} {page.text}".casefold()) if word not in own]
    return digest_bytes(" ".join(said).encode("utf-8", "replace"))


def learn_missing_page(*, host: Host, browser: Browser, now: datetime) -> None:
    """Asks the host for an address that cannot exist, once a day, and keeps what it says. Network.

    A host that does not answer now is asked again on the next visit: what it said before stands.
    """
    known = MissingPage.objects.filter(host=host).first()
    if known is not None and abs(now - known.asked_at) < ASK_AGAIN:
        return
    address = urljoin(host.base_url, f"{secrets.token_hex(8)}-{secrets.token_hex(8)}.html")
    try:
        page = browser.fetch(address)
        parsed = parse_page(body=page.body, media_type=page.media_type, url=address, site=host.as_site())
    except AgentError as error:
        if error.code in PASSING:
            return
        digest = ""
    else:
        if page.status in PASSING_STATUSES:
            return
        digest = digest_apart(parsed) if page.status < ERRORS_FROM else ""
    MissingPage.objects.update_or_create(host=host, defaults={"digest": digest, "asked_at": now})


def read_missing_digest(host_id: int) -> str:
    """What `digest_apart` gives for the host's missing pages; empty when it answers them with an error status."""
    return MissingPage.objects.filter(host_id=host_id).values_list("digest", flat=True).first() or ""


def says_missing(page: ParsedPage, *, missing_digest: str) -> bool:
    """Whether a page is what its host says of addresses that do not exist."""
    return bool(missing_digest) and digest_apart(page) == missing_digest
