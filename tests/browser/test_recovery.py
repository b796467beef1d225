"""What breaks under a live page mends by itself, and meanwhile the page says that it is stale."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lealife.core.actors import command_line
from tests.browser.web import Web, Wire
from training.coordinator import start_training
from training.models import TrainingOutcome

pytestmark = pytest.mark.browser
STALE = re.compile("Stale since .+")


def test_a_dropped_socket_is_opened_again_and_misses_nothing(sign_in, web: Web) -> None:
    from playwright.sync_api import expect

    wire = Wire(web.port)
    try:
        page = sign_in(address=wire.address)
        word = page.locator("[data-live-word]")
        expect(word).to_have_text("Live")
        wire.cut()
        expect(word).to_have_text("Polling", timeout=20_000)
        expect(word).to_have_text(STALE, timeout=30_000)
        start_training(by=command_line("ada"), origin="page")
        expect(page.locator("[data-panel=state]")).to_contain_text("enabled false")
        wire.mend()
        expect(word).to_have_text("Live", timeout=60_000)
        expect(page.locator("[data-panel=state]")).to_contain_text("enabled true")
    finally:
        wire.close()


def test_a_restarted_web_process_is_found_again(
    sign_in, own_web: Web, make_outcomes: Callable[[int], TrainingOutcome]
) -> None:
    from playwright.sync_api import expect

    page = sign_in(address=own_web.address)
    word = page.locator("[data-live-word]")
    expect(word).to_have_text("Live")
    own_web.stop()
    expect(word).to_have_text(STALE, timeout=40_000)
    make_outcomes(7)
    own_web.start()
    expect(word).to_have_text("Live", timeout=60_000)
    expect(page.locator("[data-panel=proof]")).to_contain_text(re.compile(r"\b7\b"))


def test_a_restarted_postgres_leaves_no_page_stale(chromium_path: str) -> None:
    # A server of its own: the one that is restarted must not be the other tests'.
    parent = "/var/lib/lealife" if Path("/var/lib/lealife").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="restart-", dir=parent) as folder:
        told = subprocess.run(
            [sys.executable, "-m", "tests.browser.restarted", folder, chromium_path],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert told.returncode == 0, told.stderr[-3000:]
    assert json.loads(told.stdout) == {"before": "Live", "while_down": "stale", "after": "Live", "figure": True}
