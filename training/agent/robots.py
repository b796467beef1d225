"""robots.txt of a site, read once per run.

As RFC 9309 has it: a 4xx answer allows everything, a 5xx answer or no answer forbids everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urljoin

from protego import Protego

from training.agent.browser import ROBOTS_NAME
from training.agent.errors import AgentError, ErrorCode

# RFC 9309 asks for at least 500 KiB to be read; the rest is ignored.
ROBOTS_BYTES_MAX = 512 * 1024
# No delay a site asks for holds a run longer than this, in seconds.
DELAY_MAX_S = 10.0


@dataclass(frozen=True, slots=True)
class Robots:
    """The rules of one origin; `rules` is None when everything is forbidden."""

    rules: Protego | None

    @classmethod
    def read(cls, *, status: int, body: bytes) -> Robots:
        """The rules that this answer to /robots.txt means; status 0 stands for no answer."""
        if not status or status >= 500:
            return cls(None)
        text = "" if status >= 400 else body[:ROBOTS_BYTES_MAX].decode("utf-8", "replace")
        return cls(Protego.parse(text))

    def allows(self, url: str) -> bool:
        """Whether we may fetch the address."""
        return self.rules is not None and self.rules.can_fetch(url, ROBOTS_NAME)

    def check(self, url: str) -> None:
        """Raises AgentError: fetch_failed when robots.txt is unreadable, blocked_by_policy if it forbids."""
        if self.rules is None:
            raise AgentError(ErrorCode.FETCH_FAILED, f"{robots_url(url)} cannot be read, so nothing is fetched.")
        if not self.allows(url):
            raise AgentError(ErrorCode.BLOCKED_BY_POLICY, f"robots.txt forbids {url[:200]}.")

    @property
    def delay_s(self) -> float:
        """The Crawl-delay asked of us, in seconds, at most ten; 0 when none."""
        asked = self.rules.crawl_delay(ROBOTS_NAME) if self.rules else None
        return min(max(asked or 0.0, 0.0), DELAY_MAX_S)


def robots_url(url: str) -> str:
    """Where the rules of this address's origin are."""
    return urljoin(url, "/robots.txt")
