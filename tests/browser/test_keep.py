"""Half-typed text survives a reload of the page, until the server has accepted the text."""

from __future__ import annotations

import pytest

from tests.browser.conftest import PASSWORD
from training.models import Host, Run

pytestmark = pytest.mark.browser
QUESTION = "Which page says what a partial index is?"


@pytest.fixture
def host(transactional_db: None) -> Host:
    return Host.objects.create(name="manual", base_url="http://127.0.0.1:9/", may_be_private=True)


def test_a_question_is_kept_through_a_walk_and_a_sign_in_and_gone_once_it_is_asked(sign_in, web, host: Host) -> None:
    from playwright.sync_api import expect

    page = sign_in(path="/tasks/new/")
    page.fill("#id_prompt", QUESTION)
    page.select_option("#id_host", str(host.pk))
    page.click("details.more > summary")
    page.fill("#id_expected_text", "subset")
    page.goto(f"{web.address}/runs/")
    page.goto(f"{web.address}/tasks/new/")
    expect(page.locator("#id_prompt")).to_have_value(QUESTION)
    expect(page.locator("#id_expected_text")).to_be_visible()
    expect(page.locator("#id_expected_text")).to_have_value("subset")

    page.context.clear_cookies(name="sessionid")
    page.click("text=Run this task")
    page.fill("#id_username", "ada")
    page.fill("#id_password", PASSWORD)
    page.click("main button")
    expect(page).to_have_url(f"{web.address}/tasks/new/")
    expect(page.locator("#id_prompt")).to_have_value(QUESTION)
    expect(page.locator("#id_host")).to_have_value(str(host.pk))

    page.click("text=Run this task")
    expect(page.locator("h1")).to_have_text(QUESTION)
    page.goto(f"{web.address}/tasks/new/")
    expect(page.locator("#id_prompt")).to_have_value("")
    assert Run.objects.get().prompt == QUESTION


def test_what_was_refused_is_kept_until_it_is_mended(sign_in, host: Host) -> None:
    from playwright.sync_api import expect

    page = sign_in(path="/training/")
    page.fill("#id_title", "Indexes")
    page.fill("#id_prompt", QUESTION)
    page.fill("#id_pattern", "(((")
    page.get_by_role("button", name="Queue one run").click()
    expect(page.locator("#queue .error")).to_be_visible()
    page.get_by_role("button", name="Start Training").click()
    expect(page.locator("[data-panel=state]")).to_contain_text("enabled true")
    expect(page.locator("#id_pattern")).to_have_value("(((")
    expect(page.locator("#id_prompt")).to_have_value(QUESTION)


def test_a_host_that_is_gone_is_not_chosen_again(sign_in, web, host: Host) -> None:
    from playwright.sync_api import expect

    page = sign_in(path="/training/")
    page.fill("#id_title", "Indexes")
    page.select_option("#id_host", str(host.pk))
    host.enabled = False
    host.save()
    page.goto(f"{web.address}/training/")
    expect(page.locator("#id_title")).to_have_value("Indexes")
    expect(page.locator("#id_host")).to_have_value("")


def test_the_next_user_of_the_browser_finds_no_kept_text(sign_in, web, host: Host) -> None:
    from playwright.sync_api import expect

    page = sign_in(path="/training/")
    page.fill("#id_title", "Indexes")
    page.click("text=Sign out")
    page.fill("#id_username", "ada")
    page.fill("#id_password", PASSWORD)
    page.click("main button")
    page.goto(f"{web.address}/training/")
    expect(page.locator("#id_title")).to_have_value("")
