"""The `chromium` engine: Playwright over the system's Chromium, which itself never touches the network.

The document and what its scripts ask for are fetched by HttpBrowser, behind all of its guards, and handed to
Chromium; whatever escapes the interception (sockets, WebRTC, prefetching) meets a proxy that does not exist.
"""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from threading import Timer
from types import TracebackType
from typing import Any

import psutil

from training.agent.address import canonical_url
from training.agent.browser import USER_AGENT, Page
from training.agent.charset import PLAIN_TEXT, bare_type, describe_media_type, read_forbidden
from training.agent.errors import AgentError, ErrorCode
from training.agent.guard import check_address
from training.agent.http_browser import HttpBrowser
from training.agent.task import Site

EXECUTABLES = ("chromium", "chromium-browser", "google-chrome")
# Pictures, fonts, media and styles say nothing to a reader of text.
KINDS_ALLOWED = frozenset({"script", "xhr", "fetch"})
PARTS_MAX = 40
LOAD_SECONDS = 10.0
# Reading a page and closing it know no limit of their own, and a script that never ends holds both up for ever.
REST_SECONDS = 20.0
BODY_BYTES_MAX = 8_000_000
_ARGUMENTS = (
    "--proxy-server=socks5://127.0.0.1:1",
    "--proxy-bypass-list=<-loopback>",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-background-networking",
)


def find_chromium() -> str | None:
    """The path of the system's Chromium, or None."""
    return next((path for name in EXECUTABLES if (path := shutil.which(name))), None)


class ChromiumBrowser:
    """Fetches pages of one site as they look after their scripts ran; a context manager, of one thread.

    `http` is the guarded engine that does the fetching; this browser closes it.
    """

    def __init__(self, *, site: Site, http: HttpBrowser | None = None, headful: bool = False) -> None:
        self._site = site
        self._http = http or HttpBrowser(site=site)
        self._headful = headful
        # An argument that Chromium does not know: by it this browser's own is told from another's.
        self._mark = f"--lealife-browser={secrets.token_hex(8)}"
        self._killed = False
        self._driver: Any = None
        self._context: Any = None
        self._document: Page | None = None
        self._parts_left = 0

    def __enter__(self) -> ChromiumBrowser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends Chromium and closes the connections."""
        self._stop_driver()
        self._http.close()

    def _stop_driver(self) -> None:
        if self._driver is not None:
            self._driver.stop()
            self._driver = self._context = None

    def _kill(self) -> None:
        """Ends Chromium whatever it does; what waits for it then fails, and the next page starts another."""
        self._killed = True
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if self._mark in process.cmdline():
                    process.kill()

    def fetch(self, url: str) -> Page:
        """The page at `url` with its scripts run; see Browser. A page that is no HTML is given as it came."""
        from playwright.sync_api import Error as PlaywrightError

        document = self._http.fetch(url)
        if document.status >= 400 or bare_type(document.media_type) == PLAIN_TEXT:
            return document
        self._document, self._parts_left = document, PARTS_MAX
        context = self._open_context()
        watchdog = Timer(REST_SECONDS, self._kill)
        watchdog.start()
        try:
            tab = context.new_page()
            try:
                tab.goto(document.final_url, wait_until="load", timeout=LOAD_SECONDS * 1000)
                landed, body = tab.url, tab.content().encode()
            finally:
                tab.close()
        except PlaywrightError as error:
            first_line = str(error).splitlines()[0].rstrip(".")
            if self._killed:
                first_line = f"its scripts did not come to rest within {REST_SECONDS:g} seconds"
            raise AgentError(ErrorCode.FETCH_FAILED, f"Chromium cannot show {url[:200]}: {first_line}.") from None
        finally:
            watchdog.cancel()
            if self._killed:
                self._stop_driver()
        check_address(landed, site=self._site)
        robots = ",".join(sorted(read_forbidden(document.media_type)))
        if len(body) > BODY_BYTES_MAX:
            raise AgentError(ErrorCode.TOO_LARGE, f"{url[:200]} grew past {BODY_BYTES_MAX:,} bytes.")
        return Page.of(
            url=url,
            final_url=document.final_url,
            status=document.status,
            # Whatever the page was written in, this is not.
            media_type=describe_media_type(content_type="text/html; charset=utf-8", robots=[robots]),
            body=body,
            scripts_ran=True,
        )

    def _open_context(self) -> Any:
        if self._context is None:
            from playwright.sync_api import sync_playwright

            executable = find_chromium()
            if executable is None:
                raise AgentError(ErrorCode.FETCH_FAILED, f"No Chromium is installed: {', '.join(EXECUTABLES)}.")
            self._killed = False
            arguments = [*_ARGUMENTS, self._mark, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
            self._driver = sync_playwright().start()
            chromium = self._driver.chromium.launch(
                executable_path=executable, headless=not self._headful, args=arguments
            )
            self._context = chromium.new_context(user_agent=USER_AGENT, service_workers="block", accept_downloads=False)
            self._context.route("**/*", self._serve)
        return self._context

    def _serve(self, route: Any) -> None:
        """Answers one request of Chromium from the guarded engine, or refuses it."""
        part = self._find_part(route.request)
        if part is None:
            route.abort("blockedbyclient")
        else:
            route.fulfill(status=part.status, body=part.body, content_type=part.media_type)

    def _find_part(self, request: Any) -> Page | None:
        document = self._document
        if document is None or request.method != "GET":
            return None
        if request.resource_type == "document":
            is_ours = request.is_navigation_request() and _is_same(request.url, document.final_url)
            return document if is_ours else None
        if request.resource_type not in KINDS_ALLOWED or not self._parts_left:
            return None
        self._parts_left -= 1
        try:
            return self._http.fetch_part(request.url)
        except AgentError:
            return None


def _is_same(url: str, other: str) -> bool:
    try:
        return canonical_url(url) == canonical_url(other)
    except ValueError:
        return False
