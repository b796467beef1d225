"""One HTTP request and its answer, behind the guards, with limits on everything that a server may send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from types import MappingProxyType

import httpx
from ssrfguard import Resolver, SSRFGuardError

from training.agent.errors import AgentError, ErrorCode
from training.agent.reading.content_types import (
    SNIFF_BYTES,
    ContentType,
    read_content_type,
    sniff_media_type,
    sniff_text,
)
from training.agent.task import Site
from training.agent.web.cookies import open_jar
from training.agent.web.encodings import ACCEPTED, Unpacker
from training.agent.web.failures import explain_failure
from training.agent.web.guard import Deadline, GuardedTransport, explain_refusal

REDIRECTS = frozenset({301, 302, 303, 307, 308})
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


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


@dataclass(frozen=True, slots=True)
class Response:
    """What a server answered. Its `content_type` is what the headers say, else what the body looks like."""

    status: int
    headers: httpx.Headers
    content_type: ContentType
    body: bytes = field(repr=False)

    @property
    def media_type(self) -> str:
        """The type in lower case, "" when unknown."""
        return self.content_type.media_type

    @property
    def location(self) -> str:
        """Where a redirect leads, "" for every other answer."""
        return str(self.headers.get("location", "")) if self.status in REDIRECTS else ""


class Exchange:
    """Sends requests to one site, one at a time; follows no redirect and waits for no turn. The owner closes it.

    Raises AgentError blocked_by_policy for a site whose addresses are unusable.
    """

    def __init__(
        self, *, site: Site, caps: Caps, deadline: Deadline, user_agent: str, resolver: Resolver | None = None
    ) -> None:
        self._site, self._caps, self._deadline = site, caps, deadline
        self._cookies = open_jar()
        self._headers = {
            "User-Agent": user_agent,
            "Accept": "text/html, application/xhtml+xml, text/plain",
            # Only what is unpacked here in bounded pieces.
            "Accept-Encoding": ACCEPTED,
        }
        try:
            self._transport = GuardedTransport(site=site, deadline=deadline, resolver=resolver)
        except ValueError as error:
            raise AgentError(ErrorCode.BLOCKED_BY_POLICY, f"The site's addresses are unusable: {error}.") from None

    def close(self) -> None:
        self._transport.close()

    def read_cookies(self, url: str) -> str:
        """The Cookie header that a request to the address carries, "" for none."""
        return str(self._build_request(url).headers.get("cookie", ""))

    def add_cookie(self, *, url: str, name: str, value: str) -> None:
        """Keeps a cookie that a script of the page at `url` set."""
        header = [(b"Set-Cookie", f"{name}={value}; Path=/".encode("utf-8", "replace"))]
        self._cookies.extract_cookies(httpx.Response(200, headers=header, request=httpx.Request("GET", url)))

    def get(
        self,
        url: str,
        *,
        media_types: frozenset[str] | None = None,
        wanted: int | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Response:
        """The answer to one GET with these further `headers`.

        A body of another type than `media_types` and one past `wanted` bytes stay unread.

        Raises AgentError: blocked_by_policy, fetch_failed, too_large or timeout.
        """
        left = self._deadline.left()
        if not left:
            raise AgentError(ErrorCode.TIMEOUT, f"{url[:200]} took longer than {self._caps.seconds:g} seconds.")
        request = self._build_request(url)
        request.headers.update(headers)
        request.extensions = {"timeout": httpx.Timeout(left).as_dict()}
        try:
            # The transport alone: a client would already build the request that a redirect asks for.
            with closing(self._transport.handle_request(request)) as response:
                response.request = request
                self._check_headers(url, response)
                self._cookies.extract_cookies(response)
                return self._read_answer(url, response, media_types, wanted)
        except SSRFGuardError as error:
            raise AgentError(ErrorCode.BLOCKED_BY_POLICY, explain_refusal(error, site=self._site)) from None
        except httpx.TimeoutException as error:
            raise AgentError(ErrorCode.TIMEOUT, explain_failure(url, error)) from None
        except (httpx.HTTPError, OSError) as error:
            raise AgentError(ErrorCode.FETCH_FAILED, explain_failure(url, error)) from None

    def _build_request(self, url: str) -> httpx.Request:
        try:
            request = httpx.Request("GET", url, headers=self._headers)
        except httpx.InvalidURL as error:
            raise AgentError(ErrorCode.BLOCKED_BY_POLICY, f"The address is refused: {error}.") from None
        # A cookie may hold any letters; by itself httpx writes ASCII alone.
        request.headers.encoding = "utf-8"
        self._cookies.set_cookie_header(request)
        return request

    def _check_headers(self, url: str, response: httpx.Response) -> None:
        size = sum(len(name) + len(value) + 4 for name, value in response.headers.raw)
        if size > self._caps.header_bytes:
            raise AgentError(ErrorCode.TOO_LARGE, f"{url[:200]} sent {size:,} bytes of headers.")

    def _read_answer(
        self, url: str, response: httpx.Response, media_types: frozenset[str] | None, wanted: int | None
    ) -> Response:
        kind = read_content_type(response.headers.get_list("content-type"))
        media_type, body = kind.media_type, bytearray()
        is_known = media_types is None or bool(media_type and not kind.is_doubtful)
        is_wanted = not is_known or media_types is None or media_type in media_types
        pieces = self._read_body(url[:200], response) if response.status_code not in REDIRECTS and is_wanted else ()
        for piece in pieces:
            body += piece
            if not is_known and len(body) >= SNIFF_BYTES:
                media_type, is_known = _sniff(kind, response, body), True
            if media_types is not None and is_known and media_type not in media_types:
                body.clear()
                break
            if wanted is not None and len(body) >= wanted:
                del body[wanted:]
                break
        if not is_known and body:
            media_type = _sniff(kind, response, body)
        content_type = ContentType(media_type, kind.charset)
        return Response(response.status_code, response.headers, content_type, bytes(body))

    def _read_body(self, url: str, response: httpx.Response) -> Iterator[bytes]:
        """The body, decompressed in pieces of limited size: one chunk could otherwise grow a thousandfold."""
        caps = self._caps
        unpacker = Unpacker(response.headers.get("content-encoding", ""), url=url, limit=caps.body_bytes)
        wire = size = 0
        for chunk in response.iter_raw():
            wire += len(chunk)
            if wire > caps.wire_bytes:
                raise AgentError(ErrorCode.TOO_LARGE, f"{url} is larger than {caps.wire_bytes:,} bytes.")
            piece = unpacker.unpack(chunk)
            size += len(piece)
            if size > caps.body_bytes:
                raise AgentError(ErrorCode.TOO_LARGE, f"{url} decompresses to more than {caps.body_bytes:,} bytes.")
            if size > _RATIO_FROM and size > wire * caps.ratio:
                raise AgentError(ErrorCode.TOO_LARGE, f"{url} decompresses to over {caps.ratio} times its size.")
            if not self._deadline.left():
                raise AgentError(ErrorCode.TIMEOUT, f"{url} took longer than {caps.seconds:g} seconds.")
            yield piece
        unpacker.finish()


def _sniff(kind: ContentType, response: httpx.Response, body: bytearray) -> str:
    if kind.media_type:
        return sniff_text(bytes(body[:SNIFF_BYTES]))
    is_scripted = response.headers.get("x-content-type-options", "").strip().lower() != "nosniff"
    return sniff_media_type(bytes(body[:SNIFF_BYTES]), is_scripted=is_scripted)
