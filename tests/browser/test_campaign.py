"""What staff do on the training page: word a check, queue a campaign, cancel it, read ages."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from lealife.core.actors import command_line
from training.coordinator import start_training
from training.models import Campaign, Coordinator, Host, TrainingSource

pytestmark = pytest.mark.browser


def test_a_campaign_is_worded_queued_watched_and_cancelled(sign_in) -> None:
    from playwright.sync_api import expect

    Host.objects.create(name="manual", base_url="http://127.0.0.1:9/", may_be_private=True)
    complaints: list[str] = []
    page = sign_in(complaints=complaints, viewport={"width": 1440, "height": 900})
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
    assert complaints == []
    assert Campaign.objects.get().size == 3
    assert set(TrainingSource.objects.values_list("status", flat=True)) == {"cancelled"}


def test_who_started_and_when_stays_true_while_the_page_is_open(sign_in) -> None:
    from playwright.sync_api import expect

    start_training(by=command_line("ada"), origin="page")
    changed_at = timezone.now() - timedelta(minutes=2, seconds=50)
    Coordinator.objects.update(enabled_changed_at=changed_at)
    page = sign_in()
    control = page.locator("#controls .control")
    expect(control).to_contain_text("Last changed by ada")
    moment = control.locator("time")
    expect(moment).to_have_attribute("title", f"{changed_at:%-d %b %Y, %H:%M:%S} UTC")
    expect(moment).to_have_text("3 min ago", timeout=20_000)
