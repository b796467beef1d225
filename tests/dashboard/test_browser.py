"""The live page in a real Chromium, served by the real web process."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.db import connection

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    # Never in continuous integration, where a test without Chromium has to fail.
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("CI"),
        reason="no Chromium on this machine: install Debian's package chromium",
    ),
]


@pytest.fixture
def address(transactional_db: None) -> Iterator[str]:
    """The web process on a free port, on the test's database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    process = subprocess.Popen(
        [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "lealife.asgi:application"],
        env={**os.environ, "DATABASE_URL": url, "DEBUG": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/healthz", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.1)
    raise AssertionError(f"the web process did not answer at {url}")


def test_a_press_of_start_in_one_window_shows_in_the_other_without_a_reload(address: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    User.objects.create_superuser("ada", password="a long enough one")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = chromium.new_context(viewport={"width": 390, "height": 844})
        complaints: list[str] = []
        watching, pressing = context.new_page(), context.new_page()
        watching.on("console", lambda message: complaints.append(message.text))
        watching.on("pageerror", lambda error: complaints.append(str(error)))

        watching.goto(f"{address}/login/?next=/training/")
        watching.fill("#id_username", "ada")
        watching.fill("#id_password", "a long enough one")
        watching.click("main button")
        expect(watching.locator("[data-live-word]")).to_have_text("Live")
        expect(watching.locator("#state")).to_contain_text("enabled false")
        watching.fill("#id_title", "half typed")

        pressing.goto(f"{address}/training/")
        pressing.click("#controls >> text=Start Training")
        expect(pressing.locator(".note")).to_contain_text("Training is allowed")

        expect(watching.locator("#state")).to_contain_text("enabled true")
        expect(watching.locator("#id_title")).to_have_value("half typed")
        assert watching.evaluate("document.documentElement.scrollWidth") == 390
        assert complaints == []
        chromium.close()


def test_a_draft_is_kept_as_it_is_edited_and_survives_live_updates_and_a_reload(address: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    for name in ("ada", "grace"):
        User.objects.create_superuser(name, password="a long enough one")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        complaints: list[str] = []
        pages = {}
        for name in ("ada", "grace"):
            pages[name] = page = chromium.new_context().new_page()
            page.on("console", lambda message: complaints.append(message.text))
            page.goto(f"{address}/login/?next=/training/")
            page.fill("#id_username", name)
            page.fill("#id_password", "a long enough one")
            page.click("main button")
            expect(page.locator("[data-live-word]")).to_have_text("Live")
        ada, grace = pages["ada"], pages["grace"]

        ada.fill("#id_retry_budget", "5")
        ada.press("#id_retry_budget", "Tab")
        expect(ada.locator("#pending-changes")).to_contain_text("Draft against version 1")
        grace.select_option("#id_campaign_lock", "True")
        grace.click("button:has-text('Apply Settings')")
        expect(ada.locator("#controls")).to_contain_text("version 2 by grace")
        expect(ada.locator("#id_retry_budget")).to_have_value("5")

        ada.reload()
        expect(ada.locator("#id_retry_budget")).to_have_value("5")
        expect(ada.locator("#pending-changes")).to_contain_text("Campaign Lock Mode: Off → On")
        assert complaints == []
        chromium.close()
