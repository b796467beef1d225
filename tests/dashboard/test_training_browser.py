"""What staff do on the training page, in a real Chromium: word a check, queue a campaign, cancel it, read ages."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from lealife.core.actors import command_line
from tests.dashboard.test_browser import CHROMIUM, address
from training.coordinator import start_training
from training.models import Campaign, Coordinator, Host, TrainingSource

__all__ = ["address"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install Debian's package chromium"),
]


def test_a_campaign_is_worded_queued_watched_and_cancelled(address: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    User.objects.create_superuser("ada", password="a long enough one")
    Host.objects.create(name="manual", base_url="http://127.0.0.1:9/", may_be_private=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_context(viewport={"width": 1440, "height": 900}).new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{address}/login/?next=/training/")
        page.fill("#id_username", "ada")
        page.fill("#id_password", "a long enough one")
        page.click("main button")
        expect(page.locator("[data-live-word]")).to_have_text("Live")

        words = page.locator("#check-words")
        expect(words).to_contain_text("No check of its own")
        page.fill("#id_pattern", "(")
        expect(words).to_contain_text("Pattern: The success check cannot be used")
        page.fill("#id_pattern", r"v\d+")
        page.fill("#id_min_pages", "2")
        expect(words).to_contain_text(r"The pattern v\d+ must be found")
        expect(words).to_contain_text("The run must read at least 2 pages.")

        page.fill("#id_title", "Versions")
        page.fill("#id_prompt", "Which version is the newest?")
        page.get_by_role("button", name="Start Training").click()
        expect(page.locator("[data-panel=state]")).to_contain_text("enabled true")
        expect(page.locator("#id_prompt")).to_have_value("Which version is the newest?")
        expect(words).to_contain_text("The run must read at least 2 pages.")
        page.fill("#id_size", "3")
        page.click("text=Queue campaign")
        campaign = page.locator(".campaign")
        expect(campaign).to_contain_text("Queued: 3")
        expect(page.locator("#id_prompt")).to_have_value("")
        campaign.locator("text=Cancel what has not started").click()
        expect(campaign).to_contain_text("Cancelled: 3")
        expect(campaign).to_contain_text("Progress: 0/3 (0%), 3 cancelled")
        chromium.close()
    assert complaints == []
    assert Campaign.objects.get().size == 3
    assert set(TrainingSource.objects.values_list("status", flat=True)) == {"cancelled"}


def test_who_started_and_when_stays_true_while_the_page_is_open(address: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    User.objects.create_superuser("ada", password="a long enough one")
    start_training(by=command_line("ada"), origin="page")
    changed_at = timezone.now() - timedelta(minutes=2, seconds=50)
    Coordinator.objects.update(enabled_changed_at=changed_at)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page()
        page.goto(f"{address}/login/?next=/training/")
        page.fill("#id_username", "ada")
        page.fill("#id_password", "a long enough one")
        page.click("main button")
        control = page.locator("#controls .control")
        expect(control).to_contain_text("Last changed by ada")
        moment = control.locator("time")
        expect(moment).to_have_attribute("title", f"{changed_at:%-d %b %Y, %H:%M:%S} UTC")
        expect(moment).to_have_text("3 min ago", timeout=20_000)
        chromium.close()
