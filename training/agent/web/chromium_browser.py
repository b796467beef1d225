"""The `chromium` engine: Playwright with the system's Chromium, which itself has no network access.

HttpBrowser, with all its guards, fetches the document and the requests of its scripts and gives them to Chromium.
Traffic that escapes the interception (sockets, WebRTC, prefetching) goes to a proxy that does not exist.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import urldefrag

from training.agent.errors import AgentError, ErrorCode
from training.agent.reading.charset import bare_type, describe_media_type, read_forbidden
from training.agent.task import Site
from training.agent.web.address import canonical_url, is_same_document
from training.agent.web.browser import ERRORS_FROM, NONE_HELD, UNCHANGED, Page, Validators
from training.agent.web.chromium_watch import ChromiumWatch
from training.agent.web.guard import check_address
from training.agent.web.http_browser import MARKUP_TYPES, REDIRECTS_MAX, HttpBrowser

EXECUTABLES = ("chromium", "chromium-browser", "google-chrome")
# Pictures, fonts, media and styles have no text to read.
KINDS_ALLOWED = frozenset({"script", "xhr", "fetch"})
PARTS_MAX = 40
LOAD_SECONDS = 10.0
# How long scripts may write into a loaded page or redirect.
SETTLE_SECONDS = 0.5
LOOK_EVERY_SECONDS = 0.05
BODY_BYTES_MAX = 8_000_000
_ARGUMENTS = (
    "--proxy-server=socks5://127.0.0.1:1",
    "--proxy-bypass-list=<-loopback>",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-background-networking",
)


def find_chromium() -> str | None:
    return next((path for name in EXECUTABLES if (path := shutil.which(name))), None)


class ChromiumBrowser:
    """Fetches pages of one site as they look after their scripts ran; a context manager, of one thread.

    `http` is the guarded engine that fetches; this browser closes it. Playwright has its own thread, because it leaves
    an event loop in its thread, and Django refuses database queries in such a thread.
    """

    def __init__(self, *, site: Site, http: HttpBrowser | None = None, headful: bool = False) -> None:
        self._site = site
        self._http = http or HttpBrowser(site=site)
        self._headful = headful
        # An argument that Chromium does not know: it marks the processes of this browser.
        self._mark = f"--lealife-browser={secrets.token_hex(8)}"
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="chromium")
        self._driver: Any = None
        self._context: Any = None
        self._tab: Any = None
        self._document: Page | None = None
        self._is_served = self._has_left = False
        self._onward = ""
        self._parts_left = 0

    def __enter__(self) -> ChromiumBrowser:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends Chromium and closes the connections."""
        self._thread.submit(self._stop_driver).result()
        self._thread.shutdown()
        self._http.close()

    def _stop_driver(self) -> None:
        if self._driver is not None:
            self._driver.stop()
            self._driver = self._context = self._tab = None

    def fetch(self, url: str, *, held: Validators = NONE_HELD) -> Page:
        """The page at `url` after its scripts ran; see RevisitingBrowser. One that is not HTML is returned unchanged.

        When scripts redirect, the page that they lead to is read instead: on the site, at most five times.
        """
        target, sent_by = url, ""
        for _ in range(REDIRECTS_MAX + 1):
            document = self._http.fetch(target, sent_by=sent_by, held=NONE_HELD if sent_by else held)
            is_shown = document.status < ERRORS_FROM and document.status != UNCHANGED
            if not is_shown or bare_type(document.media_type) not in MARKUP_TYPES:
                return replace(document, url=url)
            # A route of a scripted page never reaches a server.
            address = document.final_url + _find_route(target)
            body = self._thread.submit(self._show, document, address).result()
            if not self._onward:
                return Page.of(
                    url=url,
                    final_url=address,
                    status=document.status,
                    media_type=_describe(document),
                    body=body,
                    scripts_ran=True,
                )
            target, sent_by = self._onward, address
        raise AgentError(ErrorCode.REDIRECT_LOOP, f"The scripts of {url[:200]} redirect in a circle or too often.")

    def _show(self, document: Page, address: str) -> bytes:
        """The document after its scripts ran; `_onward` is then where they send the reader on to, or ""."""
        from playwright.sync_api import Error as PlaywrightError

        self._document, self._is_served, self._has_left = document, False, False
        self._onward, self._parts_left = "", PARTS_MAX
        watch, body = ChromiumWatch(mark=self._mark), b""
        try:
            self._open_context()
            with watch:
                body = self._read_tab(address)
        except PlaywrightError as error:
            reason = watch.reason or str(error).splitlines()[0].rstrip(".")
            code = watch.code or ErrorCode.FETCH_FAILED
            raise AgentError(code, f"Chromium cannot show {address[:200]}: {reason}.") from None
        finally:
            # A browser that was ended, or has died, is none for the next page.
            if self._context is None or not self._context.browser.is_connected():
                self._stop_driver()
        if len(body) > BODY_BYTES_MAX:
            raise AgentError(ErrorCode.TOO_LARGE, f"{address[:200]} grew past {BODY_BYTES_MAX:,} bytes.")
        return body

    def _read_tab(self, address: str) -> bytes:
        # While there is no tab, the page that opens is ours and no popup.
        self._tab = None
        tab = self._tab = self._context.new_page()
        try:
            for page in self._context.pages:
                self._close_popup(page)
            self._load(tab, address)
            has_new_cookies = self._keep_cookies(address)
            if not has_new_cookies and is_same_document(self._onward, address):
                # A page that only renews itself is read as it is.
                self._onward = ""
            if self._onward:
                return b""
            check_address(tab.url, site=self._site, is_part=True)
            content: str = tab.content()
            return content.encode("utf-8", "replace")
        finally:
            tab.close()

    def _load(self, tab: Any, address: str) -> None:
        """Waits until the page has loaded and settled, or has tried to leave: then no load event may ever come."""
        loads: list[Any] = []
        tab.on("load", lambda page: loads.append(page))
        ends_at = time.monotonic() + LOAD_SECONDS
        tab.goto(address, wait_until="commit", timeout=LOAD_SECONDS * 1000)
        while not loads and not self._has_left:
            if time.monotonic() > ends_at:
                raise AgentError(ErrorCode.TIMEOUT, f"{address[:200]} did not load within {LOAD_SECONDS:g} seconds.")
            tab.wait_for_timeout(LOOK_EVERY_SECONDS * 1000)
        tab.wait_for_timeout(SETTLE_SECONDS * 1000)

    def _keep_cookies(self, url: str) -> bool:
        """Copies the cookies that scripts set to the fetching engine; returns whether anything changed."""
        before = self._http.read_cookies(url)
        for cookie in self._context.cookies(url):
            self._http.add_cookie(url=url, name=cookie["name"], value=cookie["value"])
        return self._http.read_cookies(url) != before

    def _open_context(self) -> None:
        if self._context is not None:
            return
        from playwright.sync_api import sync_playwright

        executable = find_chromium()
        if executable is None:
            raise AgentError(ErrorCode.FETCH_FAILED, f"No Chromium is installed: {', '.join(EXECUTABLES)}.")
        arguments = [*_ARGUMENTS, self._mark, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        self._driver = sync_playwright().start()
        chromium = self._driver.chromium.launch(
            executable_path=executable,
            headless=not self._headful,
            args=arguments,
            # Playwright lets every page open windows.
            ignore_default_args=["--disable-popup-blocking"],
        )
        self._context = chromium.new_context(
            user_agent=self._http.user_agent, service_workers="block", accept_downloads=False
        )
        self._context.on("page", self._close_popup)
        self._context.route("**/*", self._serve)

    def _close_popup(self, page: Any) -> None:
        if self._tab is not None and page != self._tab:
            page.close()

    def _serve(self, route: Any) -> None:
        """Answers one request of Chromium from the guarded engine, or refuses it."""
        request = route.request
        if request.is_navigation_request() and self._is_of_tab(request):
            self._serve_document(route)
            return
        part = self._find_part(request)
        if part is None:
            route.abort("blockedbyclient")
        else:
            route.fulfill(status=part.status, body=part.body, content_type=part.media_type)

    def _serve_document(self, route: Any) -> None:
        document, request = self._document, route.request
        if document is not None and not self._is_served and is_same_document(request.url, document.final_url):
            self._is_served = True
            route.fulfill(status=document.status, body=document.body, content_type=document.media_type)
            return
        if request.method == "GET":
            self._onward = request.url
        self._has_left = True
        # "No content" leaves the page as it stands: the next one is fetched as any other, in its turn.
        route.fulfill(status=204)

    def _is_of_tab(self, request: Any) -> bool:
        from playwright.sync_api import Error as PlaywrightError

        try:
            return self._tab is not None and request.frame == self._tab.main_frame
        except PlaywrightError:
            # A window whose page does not exist yet.
            return False

    def _find_part(self, request: Any) -> Page | None:
        is_allowed = request.method == "GET" and request.resource_type in KINDS_ALLOWED
        if not is_allowed or not self._parts_left:
            return None
        self._parts_left -= 1
        try:
            return self._http.fetch_part(request.url)
        except AgentError:
            return None


def _describe(document: Page) -> str:
    # Whatever the page was written in, what Chromium writes out is not.
    robots = ",".join(sorted(read_forbidden(document.media_type)))
    return describe_media_type(content_type="text/html; charset=utf-8", robots=[robots])


def _find_route(url: str) -> str:
    fragment = urldefrag(canonical_url(url)).fragment
    return f"#{fragment}" if fragment else ""
