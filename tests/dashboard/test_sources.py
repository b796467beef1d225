from __future__ import annotations

from django.test import Client

from training.models import Host, TrainingSource


def make_source(host: Host, **changes: str) -> TrainingSource:
    return TrainingSource.objects.create(**{"title": "Waiting", "prompt": "Find it.", "host": host, **changes})


def test_sources_are_listed_by_status_and_kind_and_paged_by_id(browser: Client, host: Host) -> None:
    sources = [make_source(host, title=f"Lesson {number:02d}", kind="curriculum") for number in range(30)]
    make_source(host, title="By an operator")
    make_source(host, title="Switched off", status="disabled")
    page = browser.get("/training/sources/?status=pending&kind=curriculum").content.decode()
    assert "Lesson 29" in page
    assert "Lesson 04" not in page
    assert "By an operator" not in page
    assert "Switched off" not in page
    address = f"/training/sources/?status=pending&kind=curriculum&before={sources[5].pk}"
    assert "Lesson 04" in browser.get(address).content.decode()


def test_each_source_has_the_buttons_that_apply_to_it(browser: Client, host: Host) -> None:
    wanted = {
        "pending": ("disable", "cancel"),
        "disabled": ("enable", "cancel"),
        "failed": ("requeue", "disable"),
        "done": ("requeue",),
        "cancelled": ("requeue",),
        "claimed": (),
    }
    for status, actions in wanted.items():
        source = make_source(host, status=status)
        page = browser.get(f"/training/sources/?status={status}").content.decode()
        found = tuple(
            action
            for action in ("enable", "requeue", "disable", "cancel")
            if f"/training/sources/{source.pk}/actions/{action}/" in page
        )
        assert found == actions


def test_every_button_that_is_shown_works_and_leads_back_to_the_list(browser: Client, host: Host) -> None:
    address = "/training/sources/?status=disabled&kind="
    source = make_source(host, status="disabled")
    response = browser.post(f"/training/sources/{source.pk}/actions/enable/", {"next": address})
    assert response["Location"] == address
    source.refresh_from_db()
    assert source.status == "pending"
    response = browser.post(f"/training/sources/{source.pk}/actions/cancel/", {"next": "https://evil.example/"})
    assert response["Location"] == "/training/"


def test_a_list_of_sources_takes_nonsense_for_everything(browser: Client, host: Host) -> None:
    make_source(host)
    for query in ("?before=x", "?status=nowhere", "?kind=%00", "?before=" + "9" * 40):
        assert "Waiting" in browser.get(f"/training/sources/{query}").content.decode()
