"""The `http` engine: httpx behind the guards, with caps on everything a server may send."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urljoin

import httpx
from ssrfguard import Resolver, SSRFGuardError

from training.agent.address import canonical_url, read_origin
from training.agent.browser import USER_AGENT, Page
from training.agent.charset import bare_type, describe_media_type
from training.agent.errors import AgentError, ErrorCode
from training.agent.guard import Deadline, GuardedTransport, check_address
from training.agent.robots import ROBOTS_BYTES_MAX, Robots, robots_url
from training.agent.task import Site

MEDIA_TYPES = frozenset({"text/html", "application/xhtml+xml", "text/plain"})
REDIRECTS_MAX = 5
_HEADERS = {
    "User-Agent": USER_AGENT,
    "Accept": "text/html, application/xhtml+xml, text/plain",
    # Only what is unpacked here in bounded pieces.
    "Accept-Encoding": "gzip, deflate",
}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Caps:
    """The most one fetch may cost: bytes on the wire, bytes unpacked, their ratio, header bytes, seconds."""

    wire_bytes: int = 5_000_000
    body_bytes: int = 8_000_000
    ratio: int = 100
    header_bytes: int = 64_000
    seconds: float = 20.0


# Below this size no ratio is suspicious.
_RATIO_FROM = 256_000


class HttpBrowser:
    """Fetches pages of one site for one run; a context manager. Not shared between threads.

    `resolver` stands in for socket.getaddrinfo (its answers are checked all the same); `sleep` and `clock` in
    seconds.
    """

    def __init__(
        self,
        *,
        site: Site,
        caps: Caps | None = None,
        resolver: Resolver | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._site = site
        self._caps = caps or Caps()
        self._sleep, self._clock = sleep, clock
        self._deadline = Deadline()
        self._robots: dict[tuple[str, int], Robots] = {}
        self._last_fetch_at: float | None = None
        try:
            self._transport = GuardedTransport(site=site, deadline=self._deadline, resolver=resolver)
        except ValueError as error:
            raise AgentError(ErrorCode.BLOCKED_BY_POLICY, f"The site's addresses are unusable: {error}.") from None

    def __enter__(self) -> HttpBrowser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def fetch(self, url: str) -> Page:
        """The page at `url`; see Browser. Redirects stay on the site, at most five."""
        return self._fetch(url, MEDIA_TYPES)

    def fetch_part(self, url: str) -> Page:
        """Whatever a page asks its site for (a script, data), behind the same guards; raises as `fetch`."""
        return self._fetch(url, None)

    def _fetch(self, url: str, media_types: frozenset[str] | None) -> Page:
        self._deadline.restart(self._caps.seconds)
        seen: list[str] = []
        target = url
        while True:
            target = self._check(target)
            if target in seen or len(seen) > REDIRECTS_MAX:
                raise AgentError(ErrorCode.REDIRECT_LOOP, f"{url[:200]} redirects in a circle or too often.")
            seen.append(target)
            self._find_robots(target).check(target)
            response, body = self._get(target, media_types=media_types)
            location = response.headers.get("location", "")
            if response.status_code not in _REDIRECTS or not location:
                break
            target = urljoin(target, location)
        media_type = _read_media_type(response)
        if media_types is not None and media_type not in media_types:
            raise AgentError(ErrorCode.NOT_HTML, f"{target[:200]} is {media_type or 'of no type'}, not a page.")
        media_type = describe_media_type(
            content_type=response.headers.get("content-type", ""), robots=response.headers.get_list("x-robots-tag")
        )
        return Page.of(url=url, final_url=target, status=response.status_code, media_type=media_type, body=body)

    def _check(self, url: str) -> str:
        try:
            target = canonical_url(url)
        except ValueError as error:
            raise AgentError(ErrorCode.BLOCKED_BY_POLICY, f"The address is refused: {error}.") from None
        check_address(target, site=self._site)
        return target

    def _find_robots(self, url: str) -> Robots:
        origin = read_origin(url)
        if origin not in self._robots:
            self._robots[origin] = self._fetch_robots(robots_url(url))
        return self._robots[origin]

    def _fetch_robots(self, url: str) -> Robots:
        for _ in range(REDIRECTS_MAX + 1):
            try:
                response, body = self._get(self._check(url), wanted=ROBOTS_BYTES_MAX)
            except AgentError as error:
                if error.code == ErrorCode.BLOCKED_BY_POLICY:
                    raise
                return Robots.read(status=0, body=b"")
            location = response.headers.get("location", "")
            if response.status_code not in _REDIRECTS or not location:
                return Robots.read(status=response.status_code, body=body)
            url = urljoin(url, location)
        # RFC 9309: too many redirects count as "unavailable", which allows.
        return Robots.read(status=404, body=b"")

    def _get(
        self, url: str, *, media_types: frozenset[str] | None = None, wanted: int | None = None
    ) -> tuple[httpx.Response, bytes]:
        """One request, no redirect followed.

        A body of another type than `media_types` is not downloaded; past `wanted` bytes it stays unread.
        """
        self._wait_turn(url)
        left = self._deadline.left()
        if not left:
            raise AgentError(ErrorCode.TIMEOUT, f"{url[:200]} took longer than {self._caps.seconds:g} seconds.")
        try:
            # The transport alone: a client would already build the request that a redirect asks for.
            with closing(self._transport.handle_request(_build_request(url, timeout_s=left))) as response:
                self._check_headers(url, response)
                is_unwanted = media_types is not None and _read_media_type(response) not in media_types
                if response.status_code in _REDIRECTS or is_unwanted:
                    return response, b""
                return response, self._read_body(url, response, wanted)
        except (SSRFGuardError, httpx.InvalidURL) as error:
            raise AgentError(ErrorCode.BLOCKED_BY_POLICY, f"The egress guard refused it: {error}.") from None
        except httpx.TimeoutException as error:
            raise AgentError(ErrorCode.TIMEOUT, f"{url[:200]} timed out: {error}.") from None
        except (httpx.HTTPError, OSError, zlib.error) as error:
            raise AgentError(ErrorCode.FETCH_FAILED, f"{url[:200]} cannot be fetched: {error}.") from None

    def _wait_turn(self, url: str) -> None:
        robots = self._robots.get(read_origin(url))
        delay = max(self._site.politeness_delay_s, robots.delay_s if robots else 0.0)
        if self._last_fetch_at is not None:
            wait = self._last_fetch_at + delay - self._clock()
            if wait > 0:
                self._sleep(wait)
                # Being polite is not the server's slowness.
                self._deadline.extend(wait)
        self._last_fetch_at = self._clock()

    def _check_headers(self, url: str, response: httpx.Response) -> None:
        size = sum(len(name) + len(value) + 4 for name, value in response.headers.raw)
        if size > self._caps.header_bytes:
            raise AgentError(ErrorCode.TOO_LARGE, f"{url[:200]} sent {size:,} bytes of headers.")

    def _read_body(self, url: str, response: httpx.Response, wanted: int | None) -> bytes:
        """The body, unpacked in bounded pieces: a decoder left to itself swells one chunk a thousandfold."""
        caps, url = self._caps, url[:200]
        unpack = _choose_unpacking(url, response)
        body = bytearray()
        wire = 0
        for chunk in response.iter_raw():
            wire += len(chunk)
            if wire > caps.wire_bytes and wanted is None:
                raise AgentError(ErrorCode.TOO_LARGE, f"{url} is larger than {caps.wire_bytes:,} bytes.")
            body += unpack(chunk, caps.body_bytes - len(body) + 1)
            if wanted is not None and len(body) >= wanted:
                return bytes(body[:wanted])
            if len(body) > caps.body_bytes:
                raise AgentError(ErrorCode.TOO_LARGE, f"{url} unpacks to more than {caps.body_bytes:,} bytes.")
            if len(body) > _RATIO_FROM and len(body) > wire * caps.ratio:
                raise AgentError(ErrorCode.TOO_LARGE, f"{url} unpacks to over {caps.ratio} times its size.")
            if not self._deadline.left():
                raise AgentError(ErrorCode.TIMEOUT, f"{url} took longer than {caps.seconds:g} seconds.")
        return bytes(body)


def _build_request(url: str, *, timeout_s: float) -> httpx.Request:
    return httpx.Request("GET", url, headers=_HEADERS, extensions={"timeout": httpx.Timeout(timeout_s).as_dict()})


def _read_media_type(response: httpx.Response) -> str:
    return bare_type(response.headers.get("content-type", ""))


def _choose_unpacking(url: str, response: httpx.Response) -> Callable[[bytes, int], bytes]:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        return lambda chunk, room: chunk
    if encoding in ("gzip", "x-gzip"):
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress
    if encoding == "deflate":
        return zlib.decompressobj().decompress
    raise AgentError(ErrorCode.FETCH_FAILED, f"{url} is packed as {encoding[:40]!r}.")
