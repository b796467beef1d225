"""A browser over stored pages, for replay and evaluation without the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from training.agent.errors import AgentError, ErrorCode
from training.agent.trajectory import Step
from training.agent.web.address import canonical_url
from training.agent.web.browser import Browser, Page

Frozen = Page | AgentError


class FrozenBrowser:
    """A browser over `pages`: canonical URL → the page, the failure it was, or None when it was never seen.

    A page never seen fails, unless a `fallback` browser is given: only then may the network be used.
    """

    def __init__(self, pages: Callable[[str], Frozen | None], *, fallback: Browser | None = None) -> None:
        self._pages = pages
        self._fallback = fallback

    def fetch(self, url: str) -> Page:
        """The frozen page. Raises AgentError: the frozen failure, or fetch_failed for a page never seen."""
        try:
            address = canonical_url(url)
        except ValueError as error:
            raise AgentError(ErrorCode.BLOCKED_BY_POLICY, f"The address is refused: {error}.") from None
        frozen = self._pages(address)
        if isinstance(frozen, AgentError):
            raise AgentError(frozen.code, frozen.message)
        if frozen is not None:
            return frozen
        if self._fallback is None:
            raise AgentError(ErrorCode.FETCH_FAILED, f"{address} is not among the frozen pages.")
        return self._fallback.fetch(url)


def freeze_steps(steps: Iterable[Step]) -> dict[str, Frozen]:
    """Requested URL → page or failure, from the steps of a run; `FrozenBrowser(frozen.get)` replays it."""
    frozen: dict[str, Frozen] = {}
    for step in steps:
        if step.status:
            frozen[step.url] = Page.of(
                url=step.url,
                final_url=step.final_url,
                status=step.status,
                media_type=step.media_type,
                body=step.body,
            )
        else:
            frozen[step.url] = AgentError(ErrorCode(step.error_code), step.error)
    return frozen
