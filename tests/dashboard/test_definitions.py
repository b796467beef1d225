"""Saved task definitions and campaigns on the training page, by plain forms."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from lealife.core.actors import command_line
from lealife.dashboard.live.snapshot import take_snapshot
from training.campaigns import cancel_campaign
from training.definitions import disable_definition, queue_definition, save_definition
from training.models import Campaign, Host, TaskDefinition, TrainingSource

QUEUE = "/training/definitions/actions/queue/"
SIZES = ["0", "-1", "10001", "many", "2.5", "True", "1" + "0" * 30]


@pytest.fixture
def saved(host: Host) -> TaskDefinition:
    """A definition that is ready."""
    task = {"title": "Prices", "prompt": "Which page names the price?", "host": host}
    return save_definition(changes=task, by=command_line("ada"), origin="tests")


def queue(browser: Client, row: TaskDefinition, size: str):
    return browser.post(QUEUE, {"definition": row.pk, "size": size}, follow=True)


def queue_campaign(row: TaskDefinition, size: int) -> Campaign:
    queued = queue_definition(definition_id=row.pk, size=size, queued_from="training_ui", by=command_line("ada"))
    return Campaign.objects.get(pk=queued.campaign_id)


def test_one_run_of_a_saved_definition_is_queued_from_the_page(browser: Client, saved: TaskDefinition) -> None:
    page = queue(browser, saved, "1").content.decode()
    source = TrainingSource.objects.get()
    assert f"Queued “Prices” as source {source.pk}." in page
    assert (source.definition, source.queued_from, source.queued_by) == (saved, "training_ui", "ada")
    assert "<dt>Prices pending</dt><dd>1</dd>" in page


def test_a_campaign_of_a_saved_definition_is_queued_from_the_page(browser: Client, saved: TaskDefinition) -> None:
    page = queue(browser, saved, "12").content.decode()
    assert f"Queued campaign {Campaign.objects.get().pk}: “Prices”, 12 runs." in page
    assert "Progress: 0/12 (0%)" in page
    assert "<dt>Prices pending</dt><dd>12</dd>" in page


@pytest.mark.parametrize("size", [*SIZES, ""])
def test_an_unusable_size_is_said_at_its_field_and_keeps_the_choice(
    browser: Client, saved: TaskDefinition, size: str
) -> None:
    response = queue(browser, saved, size)
    assert response.status_code == 422
    page = response.content.decode()
    assert 'id="preset_size_error"' in page
    assert f'<option value="{saved.pk}" selected>Prices</option>' in page
    assert not TrainingSource.objects.exists()


@pytest.mark.parametrize("size", SIZES)
def test_an_unusable_campaign_size_is_said_on_the_form(browser: Client, host: Host, size: str) -> None:
    task = {"title": "Many", "prompt": "Which page?", "host": host.pk, "size": size, "campaign": "1"}
    response = browser.post("/training/actions/queue/", task)
    assert response.status_code == 422
    assert 'class="error"' in response.content.decode()
    assert not TrainingSource.objects.exists()


@pytest.mark.parametrize("button", ["one", "campaign"])
def test_a_megabyte_of_prompt_is_said_at_its_field(browser: Client, host: Host, button: str) -> None:
    task = {"title": "Long", "prompt": "x" * 1_000_000, "host": host.pk, "size": "3", button: "1"}
    response = browser.post("/training/actions/queue/", task)
    assert response.status_code == 422
    assert "Ensure this value has at most 20000 characters (it has 1000000)." in response.content.decode()
    assert not TrainingSource.objects.exists()


@pytest.mark.parametrize("chosen", ["", "999999", "many", "a\x00b", "1" + "0" * 30])
def test_a_definition_that_is_not_there_is_refused_on_the_form(
    browser: Client, saved: TaskDefinition, chosen: str
) -> None:
    response = browser.post(QUEUE, {"definition": chosen, "size": "1"})
    assert response.status_code == 422
    assert 'id="preset_definition_error"' in response.content.decode()
    assert not TrainingSource.objects.exists()


def test_what_is_not_ready_cannot_be_chosen_and_is_refused_with_its_reason(
    browser: Client, saved: TaskDefinition
) -> None:
    disable_definition(definition_id=saved.pk, by=command_line("ada"), origin="tests")
    page = browser.get("/training/").content.decode()
    assert f'<option value="{saved.pk}" disabled>Prices (disabled)</option>' in page
    assert "<dt>Prices pending</dt><dd>0 <small>(disabled)</small></dd>" in page
    response = queue(browser, saved, "1")
    assert response.status_code == 422
    assert "“Prices” is disabled." in response.content.decode()


def test_a_definition_without_a_host_shows_that_it_has_none(browser: Client) -> None:
    row = save_definition(changes={"title": "Costs", "prompt": "Which?"}, by=command_line("ada"), origin="tests")
    page = browser.get("/training/").content.decode()
    assert f'<option value="{row.pk}" disabled>Costs (no host)</option>' in page
    assert "<dt>Costs pending</dt><dd>0 <small>(no host)</small></dd>" in page


def test_the_lanes_show_those_with_the_most_waiting_first_in_no_query_more(saved: TaskDefinition, host: Host) -> None:
    take_snapshot("training", now=timezone.now())
    with CaptureQueriesContext(connection) as before:
        take_snapshot("training", now=timezone.now())
    for number in range(8):
        task = {"title": f"Task {number}", "prompt": "Which?", "host": host}
        row = save_definition(changes=task, by=command_line("ada"), origin="tests")
        queue_campaign(row, size=number + 2)
    with CaptureQueriesContext(connection) as after:
        lanes = take_snapshot("training", now=timezone.now()).panels["lanes"]
    assert [(row.title, row.pending) for row in lanes.definitions] == [
        (f"Task {number}", number + 2) for number in (7, 6, 5, 4, 3)
    ]
    assert len(after) <= len(before)


def test_what_failed_is_queued_again_from_the_page(browser: Client, saved: TaskDefinition) -> None:
    campaign = queue_campaign(saved, size=3)
    assert "Re-queue failed" not in browser.get("/training/").content.decode()
    TrainingSource.objects.update(status="disabled", failed_attempts=3)
    assert "Re-queue failed" in browser.get("/training/").content.decode()
    address = f"/training/campaigns/{campaign.pk}/actions/requeue-failed/"
    page = browser.post(address, follow=True).content.decode()
    assert f"Campaign {campaign.pk}: 3 failed sources queued again." in page
    assert "Progress: 0/3 (0%)" in page
    assert "no source has failed" in browser.post(address, follow=True).content.decode()
    assert browser.post(f"/training/campaigns/{campaign.pk}/actions/explode/").status_code == 404


def test_a_cancelled_campaign_offers_nothing_to_queue_again(browser: Client, saved: TaskDefinition) -> None:
    campaign = queue_campaign(saved, size=2)
    TrainingSource.objects.update(status="failed")
    cancel_campaign(campaign_id=campaign.pk, by=command_line("ada"), origin="tests")
    assert "Re-queue failed" not in browser.get("/training/").content.decode()


def test_a_campaign_that_waits_for_its_host_says_so(browser: Client, saved: TaskDefinition, host: Host) -> None:
    queue_campaign(saved, size=2)
    Host.objects.update(enabled=False)
    page = browser.get("/training/").content.decode()
    assert "Host manual is archived. The queued runs wait until it is back in use." in page
    assert "<dt>Prices pending</dt><dd>2 <small>(host archived)</small></dd>" in page


def test_a_user_who_is_not_staff_queues_nothing(saved: TaskDefinition) -> None:
    stranger = Client()
    stranger.force_login(User.objects.create_user("eve"))
    assert stranger.post(QUEUE, {"definition": saved.pk, "size": "1"}).status_code in {302, 403}
    assert not TrainingSource.objects.exists()
