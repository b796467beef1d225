"""The `http` engine: fetches pages of one site over plain HTTP, with its politeness delay and robots.txt."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import urldefrag, urljoin, urlsplit

from ssrfguard import Resolver

from training.agent.errors import AgentError, ErrorCode
from training.agent.reading.charset import describe_media_type
from training.agent.reading.links import clean_href
from training.agent.task import Site
from training.agent.web.address import canonical_url, is_same_document, read_origin, site_origins
from training.agent.web.browser import ERRORS_FROM, NONE_HELD, UNCHANGED, USER_AGENT, Page, Validators
from training.agent.web.exchange import NO_HEADERS, Caps, Exchange, Response
from training.agent.web.guard import Deadline, check_address
from training.agent.web.pace import LATER_STATUSES, OwnPace, Pace, read_retry_after
from training.agent.web.refresh import find_refresh
from training.agent.web.robots import ROBOTS_BYTES_MAX, Robots, robots_url

MARKUP_TYPES = frozenset({"text/html", "application/xhtml+xml"})
MEDIA_TYPES = MARKUP_TYPES | {"text/plain"}
REDIRECTS_MAX = 5
# The longest ETag or date that is kept.
VALIDATOR_MAX = 200
# How many times one address is requested while the server answers "later".
ATTEMPTS_MAX = 3
# The longest wait for a turn where no run's deadline bounds it, in seconds.
WAIT_MAX_S = 30.0


class HttpBrowser:
    """Fetches pages of one site for one run; a context manager. Not shared between threads.

    `pace` gives the turns; by default they are this browser's own. It waits for no turn later than `run_seconds` after
    it was opened. `resolver` replaces socket.getaddrinfo (its answers are checked too); `sleep` and `clock` in seconds.
    """

    def __init__(
        self,
        *,
        site: Site,
        caps: Caps | None = None,
        pace: Pace | None = None,
        run_seconds: float | None = None,
        user_agent: str = USER_AGENT,
        resolver: Resolver | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._site = site
        self._caps = caps or Caps()
        self._sleep, self._clock = sleep, clock
        self._pace = pace or OwnPace(clock)
        self._ends_at = None if run_seconds is None else clock() + run_seconds
        self._deadline = Deadline()
        self._robots: dict[tuple[str, int], Robots] = {}
        self.user_agent = user_agent
        self._resolver = resolver
        self._exchange = self._open_exchange(site)

    def __enter__(self) -> HttpBrowser:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._exchange.close()

    def fetch(self, url: str, *, sent_by: str = "", held: Validators = NONE_HELD) -> Page:
        """The page at `url`; see RevisitingBrowser. Redirects and refreshes stay on the site, at most five.

        `sent_by` is the page whose script leads there, if one does: a refusal names it.
        """
        self._deadline.restart(self._caps.seconds)
        seen: set[tuple[str, str]] = set()
        target = url
        while True:
            target = self._check(target, sent_by=sent_by)
            # The same address again is another page when a cookie was set meanwhile.
            visit = (target, self._exchange.read_cookies(target))
            if visit in seen or len(seen) > REDIRECTS_MAX:
                raise AgentError(ErrorCode.REDIRECT_LOOP, f"{url[:200]} redirects in a circle or too often.")
            seen.add(visit)
            self._find_robots(target).check(target)
            # What is held came from the address itself, not from where it leads.
            headers = NO_HEADERS if len(seen) > 1 else _ask_for_change(held)
            answer = self._ask_in_turn(target, media_types=MEDIA_TYPES, headers=headers)
            onward = self._find_onward(target, answer, cookies=visit[1])
            if not onward:
                break
            target, sent_by = onward, target
        # What an error answer says is not read: its status is enough.
        is_held = answer.status == UNCHANGED and bool(headers)
        if answer.status < ERRORS_FROM and answer.media_type not in MEDIA_TYPES and not is_held:
            message = f"{target[:200]} is {answer.media_type or 'of no type'}, not a page."
            raise AgentError(ErrorCode.NOT_HTML, message)
        page = _make_page(url, target, answer)
        return replace(page, validators=_read_validators(answer)) if len(seen) == 1 else page

    def fetch_part(self, url: str) -> Page:
        """A part that a page loads from its site (a script, data): the same guards, but no waiting for a turn.

        Raises as `fetch`.
        """
        self._deadline.restart(self._caps.seconds)
        target, sent_by = url, ""
        for _ in range(REDIRECTS_MAX + 1):
            target = self._check(target, sent_by=sent_by, is_part=True)
            self._find_robots(target, in_turn=False).check(target)
            answer = self._exchange.get(target)
            if not answer.location:
                return _make_page(url, target, answer)
            target, sent_by = _join(target, answer.location), target
        raise AgentError(ErrorCode.REDIRECT_LOOP, f"{url[:200]} redirects too often.")

    def read_cookies(self, url: str) -> str:
        """The cookies that a request to the address would carry, as a header; "" for none."""
        return self._exchange.read_cookies(url)

    def add_cookie(self, *, url: str, name: str, value: str) -> None:
        """Keeps, for this run, a cookie that a script of the page at `url` set."""
        self._exchange.add_cookie(url=url, name=name, value=value)

    def _open_exchange(self, site: Site) -> Exchange:
        return Exchange(
            site=site,
            caps=self._caps,
            deadline=self._deadline,
            user_agent=self.user_agent,
            resolver=self._resolver,
        )

    def _check(self, url: str, *, sent_by: str = "", is_part: bool = False) -> str:
        try:
            target = urldefrag(canonical_url(url)).url
        except ValueError as error:
            raise AgentError(ErrorCode.BLOCKED_BY_POLICY, f"The address is refused: {error}.") from None
        check_address(target, site=self._site, sent_by=sent_by, is_part=is_part)
        return target

    def _find_onward(self, url: str, answer: Response, *, cookies: str) -> str:
        """Where the answer sends its reader on to, or ""."""
        if answer.location:
            return _join(url, answer.location)
        if answer.status >= ERRORS_FROM or answer.media_type not in MARKUP_TYPES:
            return ""
        header = answer.headers.get("refresh", "")
        target = find_refresh(answer.body, url=url, media_type=str(answer.content_type), header=header)
        if target and is_same_document(target, url) and self._exchange.read_cookies(url) == cookies:
            # A page that only renews itself is read as it is.
            return ""
        return target

    def _find_robots(self, url: str, *, in_turn: bool = True) -> Robots:
        origin = read_origin(url)
        if origin not in self._robots:
            robots = self._robots[origin] = self._fetch_robots(robots_url(url), in_turn=in_turn)
            if in_turn and robots.delay_s > self._site.politeness_delay_s:
                self._pace.postpone(seconds=robots.delay_s)
        return self._robots[origin]

    def _fetch_robots(self, url: str, *, in_turn: bool) -> Robots:
        """The rules, from where redirects lead: also to another host, as RFC 9309 has it, if the guards allow it."""
        location = ""
        for _ in range(REDIRECTS_MAX + 1):
            try:
                url = urljoin(url, location)
                is_ours = read_origin(url) in site_origins(self._site)
            except ValueError:
                return Robots.missing()
            try:
                answer = self._ask_for_rules(url, is_ours=is_ours, in_turn=in_turn)
            except AgentError as error:
                if error.code != ErrorCode.BLOCKED_BY_POLICY:
                    return Robots(None, error.message)
                if is_ours:
                    raise
                return Robots.missing()
            location = answer.location
            if not location:
                return Robots.read(status=answer.status, body=answer.body)
        # RFC 9309: too many redirects count as "unavailable", which allows.
        return Robots.missing()

    def _ask_for_rules(self, url: str, *, is_ours: bool, in_turn: bool) -> Response:
        if is_ours:
            ask = self._ask_in_turn if in_turn else self._exchange.get
            return ask(url, wanted=ROBOTS_BYTES_MAX)
        # No private address is allowed there, even if this host may be private, and none of its cookies are sent.
        exchange = self._open_exchange(Site("rules", url))
        try:
            return exchange.get(canonical_url(url), wanted=ROBOTS_BYTES_MAX)
        finally:
            exchange.close()

    def _ask_in_turn(
        self,
        url: str,
        *,
        media_types: frozenset[str] | None = None,
        wanted: int | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Response:
        """One request without following redirects; repeated when the server says when to try again."""
        for _ in range(ATTEMPTS_MAX):
            self._wait_turn(url)
            answer = self._exchange.get(url, media_types=media_types, wanted=wanted, headers=headers)
            seconds = read_retry_after(answer.headers.get("retry-after", ""))
            if answer.status not in LATER_STATUSES or seconds is None:
                return answer
            # The next request waits as well, in this run or another.
            self._pace.postpone(seconds=seconds)
        return answer

    def _wait_turn(self, url: str) -> None:
        robots = self._robots.get(read_origin(url))
        delay = max(self._site.politeness_delay_s, robots.delay_s if robots else 0.0)
        patience = WAIT_MAX_S if self._ends_at is None else max(self._ends_at - self._clock(), 0.0)
        wait = self._pace.reserve_turn(delay_s=delay, within_s=patience)
        if wait is None:
            raise AgentError(
                ErrorCode.FETCH_FAILED,
                f"{urlsplit(url).netloc} asks for a pause that is longer than this run may wait "
                f"({patience:.0f} seconds). A later run asks it again.",
            )
        if wait > 0:
            self._sleep(wait)
            # Being polite is not the server's slowness.
            self._deadline.extend(wait)


def _make_page(url: str, target: str, answer: Response) -> Page:
    media_type = describe_media_type(
        content_type=str(answer.content_type), robots=answer.headers.get_list("x-robots-tag")
    )
    return Page.of(url=url, final_url=target, status=answer.status, media_type=media_type, body=answer.body)


def _ask_for_change(held: Validators) -> Mapping[str, str]:
    headers = {"If-None-Match": held.etag, "If-Modified-Since": held.last_modified}
    return {name: value for name, value in headers.items() if value}


def _read_validators(answer: Response) -> Validators:
    """What the answer says of its version; one that is too long to be kept is none."""
    etag, changed = (answer.headers.get(name, "") for name in ("etag", "last-modified"))
    return Validators(*(value if len(value) <= VALIDATOR_MAX and value.isascii() else "" for value in (etag, changed)))


def _join(url: str, location: str) -> str:
    try:
        return urljoin(url, clean_href(location))
    except ValueError as error:
        raise AgentError(ErrorCode.BLOCKED_BY_POLICY, f"{url[:200]} redirects to no address: {error}.") from None
