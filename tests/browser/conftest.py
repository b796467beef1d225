"""A real Chromium before the real web process, on the tests' database."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User
from django.db import connection

from tests.browser.web import Web
from tests.dashboard.conftest import busy, host, make_outcomes  # noqa: F401  fixtures

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PASSWORD = "a long enough one"
WAIT_MS = 30_000


@pytest.fixture(scope="package", autouse=True)
def _database_with_playwright() -> Iterator[None]:
    """Playwright's own loop in this thread is no reason to refuse the database to a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        yield


@pytest.fixture(scope="package")
def shared_web(django_db_setup: None) -> Iterator[Web]:
    """A web process on a free port, started once: it keeps nothing of the rows that a test leaves."""
    web = Web(database=connection.settings_dict["NAME"])
    web.start()
    yield web
    web.stop()


@pytest.fixture
def web(transactional_db: None, shared_web: Web) -> Web:
    """The web process on the tests' database."""
    return shared_web


@pytest.fixture
def own_web(transactional_db: None) -> Iterator[Web]:
    """A web process that the test may stop and start."""
    web = Web(database=connection.settings_dict["NAME"])
    web.start()
    yield web
    web.stop()


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Where Chromium is; a machine without one skips the test, but never continuous integration."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("Continuous integration needs Chromium: install Debian's package chromium.")
        pytest.skip("no Chromium on this machine: install Debian's package chromium")
    return CHROMIUM


@pytest.fixture(scope="package")
def shared_chromium(chromium_path: str) -> Iterator[Browser]:
    """A Chromium, started once."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def chromium(transactional_db: None, shared_chromium: Browser) -> Iterator[Browser]:
    """The Chromium. Windows that the test opens are closed before its rows are deleted."""
    yield shared_chromium
    for context in shared_chromium.contexts:
        context.close()


@pytest.fixture
def sign_in(chromium, web: Web) -> Callable[..., object]:
    """Opens a window of its own, signed in as `name`, at `path` of `address`.

    What its pages write to the console, and errors of their scripts, are added to `complaints`.
    """

    def open_window(
        name: str = "ada",
        *,
        path: str = "/training/",
        address: str = "",
        complaints: list[str] | None = None,
        **options: object,
    ) -> object:
        if not User.objects.filter(username=name).exists():
            User.objects.create_superuser(name, password=PASSWORD)
        page = chromium.new_context(**options).new_page()
        page.set_default_timeout(WAIT_MS)
        if complaints is not None:
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{address or web.address}/login/?next={path}")
        page.fill("#id_username", name)
        page.fill("#id_password", PASSWORD)
        page.click("main button")
        page.wait_for_url(f"**{path}")
        return page

    return open_window
