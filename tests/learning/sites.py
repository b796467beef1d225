"""Small websites in memory, and the crawl that reads them."""

from __future__ import annotations

from learning.curriculum.seeding import crawl_host, find_unread_host
from tests.factories import later, make_html
from training.agent.errors import AgentError, ErrorCode
from training.agent.web.browser import Page
from training.models import Host

# The curriculum asks each host for one address that cannot exist.
PROBE = "0123456789abcdef-0123456789abcdef.html"
SENTENCE = "Number {} of these sentences says something that no other page has ever said."


class Shelf:
    """A site in memory, fetched as any browser fetches; what is not on it fails to come."""

    def __init__(
        self, host: Host, pages: dict[str, bytes], *, status: int = 200, media_type: str = "text/html"
    ) -> None:
        self.host, self.pages, self.status, self.media_type = host, pages, status, media_type
        self.asked: list[str] = []

    def fetch(self, url: str) -> Page:
        path = url.removeprefix(self.host.base_url)
        if len(path) == len(PROBE):
            raise AgentError(ErrorCode.FETCH_FAILED, f"{url} does not exist.")
        self.asked.append(path)
        if path not in self.pages:
            raise AgentError(ErrorCode.FETCH_FAILED, f"{url} did not come.")
        return Page.of(url=url, final_url=url, status=self.status, media_type=self.media_type, body=self.pages[path])


class SoftShelf(Shelf):
    """A site that answers 200 for every address, and names it."""

    def fetch(self, url: str) -> Page:
        name = url.removeprefix(self.host.base_url)
        soft = make_html("Not found", f"Sorry, there is no {name} on this server; try the search of {url}.")
        body = self.pages.get(name, soft)
        return Page.of(url=url, final_url=url, status=200, media_type="text/html", body=body)


def crawl(host: Host, pages: dict[str, bytes], *, visits: int = 30, **shelf) -> Shelf:
    """Crawls until the frontier is empty, or `visits` pages were read."""
    found = Shelf(host, pages, **shelf)
    assert find_unread_host(now=later(days=1)) == host
    while visits > 0 and (read := crawl_host(host=host, browser=found, now=later(days=1), pages=1)):
        visits -= read
    return found


def pages_of(host: Host, *, count: int) -> dict[str, bytes]:
    """A start page that links to `count` pages, each with a few statements of its own."""
    names = [f"page{number}" for number in range(count)]
    leaves = {name: make_html(name, *[SENTENCE.format(f"{name}-{line}") for line in range(3)]) for name in names}
    return {"": make_html("Start", links=[f"{host.base_url}{name}" for name in names]), **leaves}


def read_all(host: Host, shelf: Shelf) -> None:
    assert find_unread_host(now=later(days=1)) == host
    while crawl_host(host=host, browser=shelf, now=later(days=1)):
        pass
