from __future__ import annotations

import pytest
from django.test import Client

from lealife.core.actors import command_line
from training.models import RuntimeSettings
from training.runtime_settings import apply_settings, read_settings

PREVIEW, APPLY = "/training/settings/actions/preview/", "/training/settings/actions/apply/"


@pytest.fixture
def selectors(db: None) -> dict[str, str]:
    """The form as the page draws it before anybody changes anything."""
    return {
        "version": str(read_settings().version),
        "training_max_active_runs": "2",
        "loop_interval_s": "1.0",
        "recent_host_window": "2",
        "retry_budget": "3",
        "default_pages_target": "3",
        "curriculum_fallback": "True",
        "source_lane_mode": "hybrid",
        "campaign_lock": "False",
    }


def test_a_draft_is_shown_as_a_difference_and_changes_nothing(browser: Client, selectors: dict[str, str]) -> None:
    browser.post(PREVIEW, {**selectors, "retry_budget": "5", "campaign_lock": "True"})
    page = browser.get("/training/").content.decode()
    assert "Draft against version 1" in page
    assert '<td>3</td><td class="wide"><strong>5</strong></td>' in page
    assert '<td>Off</td><td class="wide"><strong>On</strong></td>' in page
    assert 'name="retry_budget" value="5"' in page
    assert read_settings().retry_budget == 3


def test_selectors_that_match_live_values_are_no_draft(browser: Client, selectors: dict[str, str]) -> None:
    browser.post(PREVIEW, {**selectors, "retry_budget": "5"})
    page = browser.post(PREVIEW, selectors, follow=True).content.decode()
    assert "No pending runtime setting changes." in page


def test_a_script_gets_the_pending_changes_alone(browser: Client, selectors: dict[str, str]) -> None:
    answer = browser.post(
        PREVIEW, {**selectors, "retry_budget": "5"}, headers={"X-Fragment": "pending-changes"}
    ).content.decode()
    assert answer.startswith('<section id="pending-changes"')
    assert "<strong>5</strong>" in answer


def test_an_applied_draft_is_a_new_version_with_the_name_of_who_did_it(
    browser: Client, selectors: dict[str, str]
) -> None:
    page = browser.post(APPLY, {**selectors, "source_lane_mode": "queued_only"}, follow=True).content.decode()
    row = read_settings()
    assert (row.source_lane_mode, row.version, row.updated_by) == ("queued_only", 2, "ada")
    assert "Settings are now version 2." in page
    assert "No pending runtime setting changes." in page
    assert "version 2 by ada (page)" in page
    assert "Source Lane Mode: Hybrid → Queued Only" in page


def test_a_value_out_of_bounds_is_said_and_kept_as_a_draft(browser: Client, selectors: dict[str, str]) -> None:
    page = browser.post(APPLY, {**selectors, "retry_budget": "0"}, follow=True).content.decode()
    assert "Nothing was applied." in page
    assert "greater than or equal to 1" in page
    assert 'name="retry_budget" value="0"' in page
    assert read_settings().version == 1


def test_the_second_of_two_operators_sees_the_difference_and_overwrites_nothing(
    browser: Client, selectors: dict[str, str]
) -> None:
    apply_settings(changes={"retry_budget": 7}, version=1, by=command_line("grace"), origin="page")
    page = browser.post(APPLY, {**selectors, "loop_interval_s": "2.5"}, follow=True).content.decode()
    assert "Settings were changed to version 2 by grace while you edited version 1." in page
    assert "Retry Budget / Source: 3 → 7" in page
    assert RuntimeSettings.objects.get().loop_interval_s == 1.0

    browser.post("/training/settings/actions/rebase/")
    kept = {**selectors, "version": "2", "retry_budget": "7", "loop_interval_s": "2.5"}
    browser.post(APPLY, kept)
    row = RuntimeSettings.objects.get()
    assert (row.loop_interval_s, row.retry_budget, row.version) == (2.5, 7, 3)


def test_a_discarded_draft_is_gone(browser: Client, selectors: dict[str, str]) -> None:
    browser.post(PREVIEW, {**selectors, "retry_budget": "5"})
    page = browser.post("/training/settings/actions/discard/", follow=True).content.decode()
    assert "No pending runtime setting changes." in page
    assert browser.post("/training/settings/actions/explode/").status_code == 404


def test_a_version_that_makes_no_sense_is_the_live_one(browser: Client, selectors: dict[str, str]) -> None:
    for version in ("", "x", "-1", "9" * 40):
        browser.post(PREVIEW, {**selectors, "version": version, "retry_budget": "5"})
        assert "Draft against version 1" in browser.get("/training/").content.decode()
