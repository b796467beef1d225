"""The dashboard begins with what it is worth to the people who ask, and with a box to ask in."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from lealife.dashboard.ask import hosts
from lealife.dashboard.home.panels import build_home_page
from lealife.dashboard.live.snapshot import take_snapshot
from learning.index.models import HostIndex, IndexedPage
from learning.models import FrontierPage
from training.models import Host, Run


def read_page(browser: Client) -> str:
    return browser.get("/").content.decode()


def read_text(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def make_index(host: Host, *, pages: int, passages: int) -> None:
    for number in range(pages):
        IndexedPage.objects.create(host=host, url=f"{host.base_url}{number}", url_digest=str(number))
    HostIndex.objects.create(host=host, passages=passages)


def make_frontier(host: Host, *, read: int, known: int) -> None:
    for number in range(read + known):
        state = "read" if number < read else "known"
        FrontierPage.objects.create(host=host, url=f"{host.base_url}{number}", url_digest=str(number), state=state)


def test_it_says_first_what_it_can_be_asked_about(browser: Client, host: Host) -> None:
    other = Host.objects.create(name="other", base_url="http://127.0.0.1:9/other/")
    Host.objects.create(name="off", base_url="http://127.0.0.1:9/off/", enabled=False)
    make_index(host, pages=2, passages=1_200)
    make_index(other, pages=1, passages=34)
    page = read_page(browser)
    assert "Answers questions about 2 sites" in page
    assert "3 pages read, 1,234 passages." in page
    assert page.index("Answers questions about") < page.index('name="prompt"') < page.index('data-panel="headline"')


def test_it_says_when_nothing_can_be_asked_or_nothing_was_read(browser: Client, db: None) -> None:
    page = read_page(browser)
    assert "No site can be asked about yet" in page
    assert 'name="prompt"' not in page
    Host.objects.create(name="manual", base_url="http://127.0.0.1:9/")
    page = read_page(browser)
    assert "Answers questions about 1 site" in page
    assert "No page has been read yet." in page


def test_the_box_asks_as_the_form_of_a_new_task_does(browser: Client, host: Host) -> None:
    page = read_page(browser)
    assert re.search(r'<form[^>]*action="/tasks/new/"', page)
    assert f'<option value="{host.pk}"' in page
    assert "Named in the question" in page
    answer = browser.post("/tasks/new/", {"prompt": "What is a queue?", "host": host.pk})
    assert answer["Location"] == f"/runs/{Run.objects.get().pk}/"


def test_the_box_is_offered_only_to_those_who_may_ask(host: Host) -> None:
    guest = User.objects.create_user("grace", password="x", is_staff=True)
    client = Client()
    client.force_login(guest)
    page = read_page(client)
    assert "Answers questions about 1 site" in page
    assert 'name="prompt"' not in page
    guest.user_permissions.add(Permission.objects.get(codename="ask"))
    assert 'name="prompt"' in read_page(client)


def test_each_host_shows_how_far_it_is_read(browser: Client, host: Host) -> None:
    assert "no page known yet" in read_text(read_page(browser))
    make_frontier(host, read=3, known=1)
    page = read_page(browser)
    assert "3 of 4 pages read" in read_text(page)
    assert '<progress max="4" value="3"' in page


def test_what_is_counted_is_bounded(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "COUNT_MAX", 2)
    make_index(host, pages=4, passages=9)
    make_frontier(host, read=2, known=2)
    home = build_home_page(now=timezone.now())
    assert home.worth.pages_words == "more than 2"
    facts = home.knowledge.hosts[0]
    assert (facts.reading_words, facts.is_counted) == ("more than 2 pages known", False)


def test_the_worth_costs_no_query_of_its_own(host: Host, django_assert_num_queries) -> None:
    take_snapshot("home", now=timezone.now())
    with django_assert_num_queries(1):
        hosts.read_host_facts()
