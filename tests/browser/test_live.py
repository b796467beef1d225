"""Live pages: what one window does shows in the others, and what is half typed stays."""

from __future__ import annotations

import pytest

from tests.browser.web import Web

pytestmark = pytest.mark.browser


def test_a_press_of_start_in_one_window_shows_in_the_other_without_a_reload(sign_in, web: Web) -> None:
    from playwright.sync_api import expect

    complaints: list[str] = []
    watching = sign_in(complaints=complaints, viewport={"width": 390, "height": 844})
    pressing = watching.context.new_page()
    expect(watching.locator("[data-live-word]")).to_have_text("Live")
    expect(watching.locator("#state")).to_contain_text("enabled false")
    watching.fill("#id_title", "half typed")

    pressing.goto(f"{web.address}/training/")
    pressing.click("#controls >> text=Start Training")
    expect(pressing.locator(".note")).to_contain_text("Training is allowed")

    expect(watching.locator("#state")).to_contain_text("enabled true")
    expect(watching.locator("#id_title")).to_have_value("half typed")
    assert watching.evaluate("document.documentElement.scrollWidth") == 390
    assert complaints == []


def test_a_draft_is_kept_as_it_is_edited_and_survives_live_updates_and_a_reload(sign_in) -> None:
    from playwright.sync_api import expect

    complaints: list[str] = []
    ada, grace = (sign_in(name, complaints=complaints) for name in ("ada", "grace"))
    for page in (ada, grace):
        expect(page.locator("[data-live-word]")).to_have_text("Live")

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
