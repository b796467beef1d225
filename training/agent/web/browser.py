"""What every engine gives: a page, or an AgentError that says why not."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Protocol

USER_AGENT = "LeaLife/0.1"
ROBOTS_NAME = "LeaLife"
# Statuses from here on bring no page.
ERRORS_FROM = 400
# What is held is still the page.
UNCHANGED = 304


def name_user_agent(contact: str) -> str:
    """The User-Agent that sites see: with the operator's page or mail address, if one is known."""
    if not contact:
        return USER_AGENT
    return f"{USER_AGENT} ({'+' if contact.startswith('http') else ''}{contact})"


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server says of a page's version (RFC 9110, 8.8): sent with the next request, to ask whether it changed."""

    etag: str = ""
    last_modified: str = ""


NONE_HELD = Validators()


@dataclass(frozen=True, slots=True)
class Page:
    """One response as it came: `url` asked, `final_url` answered; `digest` is SHA-256 hex of the body.

    `media_type` says all that the headers say of how to read it (charset.describe_media_type). `scripts_ran`: the
    body is what the page's scripts made of it. `validators` are those of the body as it came from `url` itself.
    """

    url: str
    final_url: str
    status: int
    media_type: str
    body: bytes = field(repr=False)
    digest: str
    scripts_ran: bool = False
    validators: Validators = NONE_HELD

    @classmethod
    def of(
        cls, *, url: str, final_url: str, status: int, media_type: str, body: bytes, scripts_ran: bool = False
    ) -> Page:
        """A page with the digest of its body."""
        return cls(url, final_url, status, media_type, body, hashlib.sha256(body).hexdigest(), scripts_ran)


class Browser(Protocol):
    """Fetches pages of one site, behind the guards."""

    def fetch(self, url: str) -> Page:
        """The page at `url`, redirects followed; any HTTP status is a page.

        Raises AgentError: fetch_failed, blocked_by_policy, not_html, too_large, redirect_loop or timeout.
        """
        ...


class RevisitingBrowser(Browser, Protocol):
    """A browser that can also ask whether a page has changed."""

    def fetch(self, url: str, *, held: Validators = NONE_HELD) -> Page:
        """See Browser. A page that is still the one held comes with status 304 and without a body."""
        ...
