"""Two operators at once, and one without JavaScript."""

from __future__ import annotations

import pytest

from training.coordinator import read_coordinator
from training.models import Run, RuntimeSettingsChange
from training.runtime_settings import read_settings

pytestmark = pytest.mark.browser


def test_the_second_of_two_operators_sees_a_diff_and_overwrites_nothing(sign_in) -> None:
    from playwright.sync_api import expect

    ada, grace = sign_in("ada"), sign_in("grace")
    before = read_settings()
    for page, value in ((ada, "7"), (grace, "9")):
        page.fill("#id_retry_budget", value)
        page.press("#id_retry_budget", "Tab")
        row = page.locator("#pending-changes tr", has_text="Retry Budget / Source")
        expect(row.locator("td")).to_have_text(["Retry Budget / Source", str(before.retry_budget), value])
    ada.click("button:has-text('Apply Settings')")
    expect(ada.locator("[data-panel=controls]")).to_contain_text("by ada")
    grace.click("button:has-text('Apply Settings')")
    grace.wait_for_load_state()
    # Hers is kept as a draft, next to what ada has applied meanwhile.
    row = grace.locator("#pending-changes tr", has_text="Retry Budget / Source")
    expect(row.locator("td")).to_have_text(["Retry Budget / Source", "7", "9"])
    expect(grace.locator("#pending-changes")).to_contain_text("Settings were changed to version 2 by ada")
    assert read_settings().retry_budget == 7
    assert RuntimeSettingsChange.objects.filter(changed_by="grace").count() == 0
    expect(grace.locator("#id_retry_budget")).to_have_value("9")


def test_every_page_works_without_javascript(sign_in, web, busy: Run) -> None:
    from playwright.sync_api import expect

    page = sign_in(path="/", java_script_enabled=False)
    expect(page.locator("[data-panel=counters]")).to_contain_text("12")
    page.goto(f"{web.address}/training/")
    assert read_coordinator().enabled
    page.click("button:has-text('Stop Training')")
    expect(page.locator("[data-panel=state]")).to_contain_text("enabled false")
    assert not read_coordinator().enabled
    page.fill("#id_retry_budget", "5")
    page.click("button:has-text('Apply Settings')")
    expect(page.locator("[data-panel=controls]")).to_contain_text("by ada")
    assert read_settings().retry_budget == 5
    page.goto(f"{web.address}/runs/{busy.pk}/")
    expect(page.locator("main")).to_contain_text("Find it.")
