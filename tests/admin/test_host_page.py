"""A host's page in admin: what is known of it, the check of its site, archiving and forgetting."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from lealife.admin.host_facts import foretell_archive, foretell_forget, foretell_unarchive, read_facts
from learning.models import CurriculumTask, FrontierPage, IndexedPassage, MemoryItem
from promotion.models import Evaluation
from tests.admin.test_hosts import add_page, change
from tests.factories import make_source, queue_standard
from tests.guards import behind_guards
from tests.training.agent.sites import GARDEN, Stub, serve
from training.models import AuditEntry, Host, TrainingOutcome

LIST = "admin:training_host_changelist"
NEW = {"name": "garden", "aliases": "[]", "politeness_delay_ms": "0"}
Capture = Callable[..., Any]


def act(staff: Client, action: str, *hosts: Host, **typed: str) -> tuple[str, list[str]]:
    """Chooses the action; returns the page that follows, and the messages on it."""
    chosen = {"action": action, "_selected_action": [str(host.pk) for host in hosts], **typed}
    answer = staff.post(reverse(LIST), chosen, follow=True)
    return html.unescape(answer.content.decode()), [str(message) for message in answer.context["messages"]]


def show(staff: Client, host: Host) -> str:
    page = staff.get(reverse("admin:training_host_change", args=[host.pk])).content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", html.unescape(page)).split())


# The check.


@pytest.mark.django_db(transaction=True)
def test_a_new_host_is_checked_once_it_is_saved_and_committed(staff: Client) -> None:
    seen = []

    def answer() -> Stub:
        # This thread has a connection of its own: it sees only what was committed.
        seen.append(Host.objects.filter(name="garden").exists())
        connection.close()
        return Stub(GARDEN["/"])

    with serve({"/": answer}) as stub:
        sent = {**NEW, "base_url": stub.url, "may_be_private": "on"}
        answered = staff.post(reverse("admin:training_host_add"), sent, follow=True)
    assert seen == [True]
    assert f"Host garden: {stub.url} answers, robots.txt allows it, and it can be read." in answered.content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_host_that_cannot_be_read_is_saved_all_the_same(staff: Client) -> None:
    sent = {**NEW, "base_url": "http://127.0.0.1:9/"}
    answered = staff.post(reverse("admin:training_host_add"), sent, follow=True)
    assert Host.objects.get().name == "garden"
    shown = [str(message) for message in answered.context["messages"]]
    assert "Host garden: The egress guard refused it" in shown[-1]


@pytest.mark.parametrize(
    ("changes", "checks"), [({"may_be_private": ""}, 1), ({"politeness_delay_ms": 2_000}, 0)], ids=["private", "delay"]
)
def test_a_changed_host_is_checked_where_its_addresses_may_be_refused(
    staff: Client, host: Host, django_capture_on_commit_callbacks: Capture, changes: dict[str, Any], checks: int
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        change(staff, host, **{"may_be_private": "on"} | changes)
    assert len([each for each in callbacks if "_check" in repr(each)]) == checks


def test_the_button_checks_now_and_leads_back_to_the_hosts_page(staff: Client) -> None:
    with serve(GARDEN) as stub:
        host = Host.objects.create(name="garden", base_url=stub.url, may_be_private=True, politeness_delay_ms=0)
        page, shown = act(staff, "check_selected", host, page_of=str(host.pk))
    assert shown == [f"Host garden: {stub.url} answers, robots.txt allows it, and it can be read."]
    assert "What is known" in page


def test_a_base_url_that_no_run_can_visit_is_refused(staff: Client, db: None) -> None:
    answer = staff.post(reverse("admin:training_host_add"), {**NEW, "base_url": "http://ada:secret@garden.example/"})
    assert "No run can visit it: the address contains a user name or password." in answer.content.decode()
    assert not Host.objects.exists()


# What is known.


def test_the_page_says_what_is_known_of_the_host_and_where_it_is_used(staff: Client, rows: Any, host: Host) -> None:
    add_page(host, f"{host.base_url}p.png", state="unreadable", code="not_html")
    page = show(staff, host)
    for said in (
        "Crawl 1 page still to be read.",
        "Pages 2 pages known: 0 read, 1 to be read, 1 unreadable.",
        "1 unreadable (not_html): The page was neither HTML nor plain text, so there was nothing to read.",
        "Passages 1 passage of 1 page, 0 of them with vectors.",
        "Memory 1 item, 1 of them trusted.",
        "Tasks says: 1 held out",
        "Lately Successes: 1 of its last 1 outcome.",
        "Waiting 1 source, of 1 campaign; 0 questions.",
        "Definitions 1 saved definition.",
    ):
        assert said in page


def test_a_host_without_any_work_says_so(staff: Client, host: Host) -> None:
    page = show(staff, host)
    assert "The start page will be read soon." in page
    assert "Tasks None yet." in page
    assert "None of the newest 5,000 outcomes is of this host." in page


def test_each_fact_leads_to_the_rows_that_it_counts(staff: Client, rows: Any, host: Host) -> None:
    page = staff.get(reverse("admin:training_host_change", args=[host.pk])).content.decode()
    links = re.findall(rf'href="([^"]+\?host__id__exact={host.pk})"', page)
    assert len(links) == 6
    for link in links:
        assert staff.get(link).status_code == 200, link


def test_the_facts_cost_seven_queries(rows: Any, host: Host, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(7):
        read_facts(host)


def test_every_field_of_the_form_says_what_it_is_for(staff: Client, db: None) -> None:
    form = staff.get(reverse("admin:training_host_add")).context["adminform"].form
    for name, field in form.fields.items():
        assert field.label and field.help_text, name


# Archiving.


def test_archiving_first_says_in_numbers_what_it_does(staff: Client, host: Host) -> None:
    make_source(host), make_source(host), queue_standard(host)
    page, shown = act(staff, "archive_selected", host)
    assert shown == []
    assert "2 sources wait and will not be claimed." in page
    assert "1 question waits and will not be answered." in page
    host.refresh_from_db()
    assert host.enabled


def test_a_confirmed_host_is_archived_with_the_reason_and_its_page_says_so(staff: Client, host: Host) -> None:
    page, shown = act(staff, "archive_selected", host, confirmed="1", reason="It moved.", page_of=str(host.pk))
    assert shown == ["1 archived."]
    assert "Nothing is read: the host is archived." in page
    assert "Unarchive" in page and 'value="Archive"' not in page
    assert AuditEntry.objects.get(action="archive host").details == {"reason": "It moved."}


def test_a_host_is_brought_back(staff: Client, host: Host) -> None:
    Host.objects.update(enabled=False)
    make_source(host)
    page, _ = act(staff, "unarchive_selected", host)
    assert "1 source waits and may be claimed at once." in page
    assert act(staff, "unarchive_selected", host, confirmed="1")[1] == ["1 back in use."]
    host.refresh_from_db()
    assert host.enabled


@pytest.mark.parametrize(("enabled", "offered"), [(True, ["manual"]), (False, [])])
def test_an_archived_host_is_offered_in_no_chooser(
    staff: Client, host: Host, enabled: bool, offered: list[str]
) -> None:
    Host.objects.update(enabled=enabled)
    asked = {"app_label": "training", "model_name": "trainingsource", "field_name": "host", "term": ""}
    found = staff.get(reverse("admin:autocomplete"), asked).json()["results"]
    assert [row["text"] for row in found] == offered


def test_an_archived_host_is_still_listed(staff: Client, host: Host) -> None:
    Host.objects.update(enabled=False)
    assert "manual" in staff.get(reverse(LIST), {"q": "manual"}).content.decode()


def test_tasks_of_an_open_evaluation_are_counted_among_the_consequences(rows: Any, host: Host) -> None:
    assert not any("evaluation" in line for line in foretell_archive(host))
    with behind_guards():
        Evaluation.objects.update(verdict="pending")
    assert "1 task of an open evaluation is still asked." in foretell_archive(host)


def test_nothing_that_waits_is_no_consequence(host: Host) -> None:
    assert len(foretell_archive(host)) == 2
    assert foretell_unarchive(host) == ["It is read, asked, offered and recalled again."]


# Forgetting.


def test_forgetting_first_says_what_goes_and_asks_for_the_name(staff: Client, rows: Any, host: Host) -> None:
    page, _ = act(staff, "forget_selected", host)
    assert "1 memory item and 1 passage of 1 page are deleted." in page
    assert "Type “manual” to confirm:" in page
    _, shown = act(staff, "forget_selected", host, confirmed="1", typed="other")
    assert shown == ["Nothing was forgotten: first type “manual”."]
    assert MemoryItem.objects.exists()


def test_a_host_whose_name_was_typed_is_forgotten_but_its_evidence_stays(staff: Client, rows: Any, host: Host) -> None:
    _, shown = act(staff, "forget_selected", host, confirmed="1", typed="manual")
    assert shown == ["1 forgotten."]
    assert not MemoryItem.objects.exists() and not IndexedPassage.objects.exists()
    assert TrainingOutcome.objects.exists() and CurriculumTask.objects.exists() and FrontierPage.objects.exists()
    assert AuditEntry.objects.get(action="purge memory").details == {"host": "manual", "passages": 1}


def test_only_one_host_is_forgotten_at_once(staff: Client, host: Host) -> None:
    other = Host.objects.create(name="other", base_url="http://127.0.0.1:9/other/")
    _, shown = act(staff, "forget_selected", host, other, confirmed="1", typed="manual")
    assert shown == ["Choose one host: to forget it, its name is typed."]


@pytest.mark.parametrize(("enabled", "says"), [(True, "archive it first"), (False, "once it is back in use")])
def test_forgetting_says_when_the_pages_are_read_again(host: Host, enabled: bool, says: str) -> None:
    host.enabled = enabled
    assert says in foretell_forget(host)[-1]
