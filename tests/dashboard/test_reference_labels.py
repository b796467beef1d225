"""The training page has every label, hint, caption, control and empty-state sentence that it owes."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from lealife.core.actors import command_line
from tests.dashboard.page_text import PageText, join_words
from tests.dashboard.reference_labels import Owed, read_owed
from training.campaigns import create_campaign
from training.models import Host, Run, TaskDefinition, WorkerHeartbeat


@pytest.fixture
def empty_page(browser: Client) -> PageText:
    return PageText(browser.get("/training/").content.decode())


@pytest.fixture
def busy_page(browser: Client, busy: Run, host: Host) -> PageText:
    TaskDefinition.objects.get_or_create(title="DivineStatus", defaults={"prompt": "What does it cost?", "host": host})
    task = {"title": "Costs", "prompt": "What does it cost?", "host": host, "check_spec": {}, "pages_target": None}
    create_campaign(**task, size=3, queued_from="training_ui", by=command_line("ada"))
    WorkerHeartbeat.objects.update(last_beat_at=timezone.now())
    return PageText(browser.get("/training/").content.decode())


def find_missing(page: PageText, world: str) -> list[str]:
    return [f"{owed.state}: {owed.text}" for owed in read_owed() if owed.is_due(world) and not has(page, owed)]


def has(page: PageText, owed: Owed) -> bool:
    if not owed.exact:
        return page.says(owed.text)
    found = page.find(owed.text)
    return bool(found) and (not owed.hint or any(join_words(owed.hint) in hint for one in found for hint in one.hints))


def test_the_empty_page_says_all_that_it_owes(empty_page: PageText) -> None:
    assert "\n".join(find_missing(empty_page, "empty")) == ""


def test_the_busy_page_says_all_that_it_owes(busy_page: PageText) -> None:
    assert "\n".join(find_missing(busy_page, "busy")) == ""


def test_a_page_at_work_does_not_say_that_it_is_empty(busy_page: PageText) -> None:
    stale = [owed.text for owed in read_owed() if owed.state == "empty" and owed.exact and page_has(busy_page, owed)]
    # The world at work is between two windows: nothing is tried, no old tag is kept besides the retired one.
    assert stale == ["No candidate tags pending"]


def page_has(page: PageText, owed: Owed) -> bool:
    return bool(page.find(owed.text))


def test_every_hint_opens_by_keyboard_and_names_what_it_explains(empty_page: PageText) -> None:
    summaries = [one for one in empty_page.elements if one.tag == "summary" and one.text == "?"]
    assert len(summaries) > 40
    assert all(one.attributes["aria-label"].startswith("What ") for one in summaries)


def test_figures_that_change_are_announced_politely_and_no_ticking_age_is(busy_page: PageText) -> None:
    live = [one for one in busy_page.elements if one.attributes.get("aria-live")]
    assert {one.attributes["aria-live"] for one in live} == {"polite"}
    said = [one.text for one in live if one.attributes.get("aria-atomic") == "true"]
    assert any(text.startswith("Queue Pending:") for text in said)
    assert not any(" ago" in text for text in said)
