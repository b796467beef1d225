"""robots.txt of a site, read once per run.

By RFC 9309 a 4xx answer allows everything, and a 5xx answer or no answer forbids everything. A 4xx that only means
“not now” forbids everything too.
"""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from dataclasses import dataclass
from urllib.parse import urljoin

from protego import Protego

from training.agent.errors import AgentError, ErrorCode
from training.agent.web.browser import ERRORS_FROM, USER_AGENT
from training.agent.web.pace import NOT_NOW

# RFC 9309 asks for at least 500 KiB to be read; the rest is ignored.
ROBOTS_BYTES_MAX = 512 * 1024
# The longest Crawl-delay that is obeyed, in seconds.
DELAY_MAX_S = 10.0


@dataclass(frozen=True, slots=True)
class Robots:
    """The rules of one origin; `rules` is None when everything is forbidden, and `reason` then says why."""

    rules: Protego | None
    reason: str = ""

    @classmethod
    def read(cls, *, status: int, body: bytes) -> Robots:
        """The rules that this answer to /robots.txt means."""
        if status >= 500 or status in NOT_NOW:
            return cls(None, f"robots.txt answers HTTP {status}.")
        return cls(Protego.parse("" if status >= ERRORS_FROM else _decode(body[:ROBOTS_BYTES_MAX])))

    @classmethod
    def missing(cls) -> Robots:
        """No rules, which allows everything."""
        return cls(Protego.parse(""))

    def check(self, url: str) -> None:
        """Raises AgentError: fetch_failed when robots.txt is unreadable, blocked_by_policy if it forbids."""
        if self.rules is None:
            message = f"{self.reason} Until {robots_url(url)} can be read, nothing is fetched."
            raise AgentError(ErrorCode.FETCH_FAILED, message)
        if not self.rules.can_fetch(url, USER_AGENT):
            raise AgentError(ErrorCode.BLOCKED_BY_POLICY, f"robots.txt forbids {url[:200]}.")

    @property
    def delay_s(self) -> float:
        """The Crawl-delay for this agent, in seconds, at most ten; 0 when there is none."""
        asked = self.rules.crawl_delay(USER_AGENT) if self.rules else None
        return min(max(asked or 0.0, 0.0), DELAY_MAX_S)


def robots_url(url: str) -> str:
    return urljoin(url, "/robots.txt")


def _decode(body: bytes) -> str:
    encoding = "utf-16" if body.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8"
    # A byte order mark before a rule would be part of its name, and the rule none: also where files were joined.
    return body.decode(encoding, "replace").replace("\ufeff", "")
