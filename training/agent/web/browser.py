"""What every engine gives: a page, or an AgentError that says why not."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Protocol

USER_AGENT = "LeaLife/0.1"
ROBOTS_NAME = "LeaLife"
# Statuses from here on bring no page.
ERRORS_FROM = 400


def name_user_agent(contact: str) -> str:
    """The User-Agent that sites see: with the operator's page or mail address, if one is known."""
    if not contact:
        return USER_AGENT
    return f"{USER_AGENT} ({'+' if contact.startswith('http') else ''}{contact})"


@dataclass(frozen=True, slots=True)
class Page:
    """One response as it came: `url` asked, `final_url` answered; `digest` is SHA-256 hex of the body.

    `media_type` says all that the headers say of how to read it (charset.describe_media_type). `scripts_ran`: the
    body is what the page's scripts made of it.
    """

    url: str
    final_url: str
    status: int
    media_type: str
    body: bytes = field(repr=False)
    digest: str
    scripts_ran: bool = False

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
