from __future__ import annotations

from django.test import Client

from training.models import Campaign, Coordinator, Host, Run, TrainingSource


def queue(browser: Client, **changes: str):
    task = {"title": "Isolation", "prompt": "Find the default isolation level.", "host": "", "size": "3"}
    return browser.post("/training/actions/queue/", {**task, **changes}, follow=True)


def test_start_and_stop_are_written_with_the_name_of_who_did_it(browser: Client) -> None:
    page = browser.post("/training/actions/start/", follow=True).content.decode()
    assert "Training is allowed" in page
    assert Coordinator.objects.get().enabled
    assert Coordinator.objects.get().enabled_changed_by.startswith("ada")
    page = browser.post("/training/actions/stop/", follow=True).content.decode()
    assert "In-flight runs continue" in page
    assert not Coordinator.objects.get().enabled


def test_one_run_is_queued_from_the_page(browser: Client, host: Host) -> None:
    page = queue(browser, one="1", expected_text="read committed").content.decode()
    source = TrainingSource.objects.get()
    assert f"Queued “Isolation” as source {source.pk}." in page
    assert (source.queued_from, source.queued_by, source.host) == ("training_ui", "ada", host)
    assert source.check_spec["expected_text"] == "read committed"


def test_a_campaign_is_queued_from_the_page_and_its_progress_shown(browser: Client, host: Host) -> None:
    page = queue(browser, campaign="1").content.decode()
    campaign = Campaign.objects.get()
    assert campaign.sources.count() == 3
    assert "Progress: 0/3 (0%)" in page
    page = browser.post(f"/training/campaigns/{campaign.pk}/actions/cancel/", follow=True).content.decode()
    assert "3 waiting sources cancelled" in page


def test_an_empty_prompt_is_said_at_its_field_and_keeps_what_was_typed(browser: Client, host: Host) -> None:
    response = queue(browser, prompt="  ", one="1")
    assert response.status_code == 422
    assert "This field is required." in response.content.decode()
    assert 'value="Isolation"' in response.content.decode()
    assert not TrainingSource.objects.exists()


def test_a_refusal_is_a_sentence_on_the_form(browser: Client, host: Host) -> None:
    Host.objects.create(name="second", base_url="http://127.0.0.1:10/")
    response = queue(browser, one="1")
    assert response.status_code == 422
    assert "Name a host" in response.content.decode()


def test_a_pending_source_is_disabled_and_a_second_time_refused(browser: Client, host: Host) -> None:
    source = TrainingSource.objects.create(title="Waiting", prompt="Find it.", host=host)
    address = f"/training/sources/{source.pk}/actions/disable/"
    assert f"Source {source.pk} is disabled." in browser.post(address, follow=True).content.decode()
    assert f"Source {source.pk} is disabled: " in browser.post(address, follow=True).content.decode()
    assert browser.post(f"/training/sources/{source.pk}/actions/explode/").status_code == 404


def test_a_new_task_becomes_a_standard_run_and_leads_to_it(browser: Client, host: Host) -> None:
    response = browser.post("/tasks/new/", {"prompt": "What is the default isolation level?", "host": host.pk})
    run = Run.objects.get()
    assert response["Location"] == f"/runs/{run.pk}/"
    assert (run.lane, run.requested_by) == ("standard", "ada")
    assert "What is the default isolation level?" in browser.get(response["Location"]).content.decode()


def test_a_new_task_with_an_empty_prompt_is_refused_on_the_form(browser: Client, host: Host) -> None:
    assert browser.post("/tasks/new/", {"prompt": ""}).status_code == 422
    assert not Run.objects.exists()
