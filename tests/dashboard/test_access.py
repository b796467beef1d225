from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.test import Client

from training.coordinator import read_coordinator

PAGES = ["/", "/training/", "/runs/", "/tasks/new/"]
ACTIONS = ["/training/actions/start/", "/training/actions/stop/", "/training/actions/queue/"]


@pytest.mark.django_db
@pytest.mark.parametrize("address", PAGES)
def test_a_stranger_is_sent_to_the_login_form(address: str) -> None:
    response = Client().get(address)
    assert response.status_code == 302
    assert response["Location"].startswith("/login/?next=")


@pytest.mark.django_db
@pytest.mark.parametrize("address", [*PAGES, *ACTIONS])
def test_a_user_who_is_not_staff_is_refused(address: str) -> None:
    client = Client()
    client.force_login(User.objects.create_user("visitor"))
    response = client.post(address) if address in ACTIONS else client.get(address)
    assert response.status_code == 403
    page = response.content.decode()
    assert "visitor is not a member of staff" in page
    # The way to where the reader is, and may not be, is none.
    assert ">Dashboard</a>" not in page


@pytest.mark.django_db
def test_polling_answers_a_script_and_does_not_redirect_it() -> None:
    assert Client().get("/live/training/").status_code == 401
    client = Client()
    client.force_login(User.objects.create_user("visitor"))
    assert client.get("/live/training/").status_code == 403


def test_an_action_without_its_token_is_refused(staff: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff)
    assert client.post("/training/actions/start/").status_code == 403


def test_the_address_of_an_action_leads_to_its_page(browser: Client) -> None:
    answer = browser.get("/training/actions/start/")
    assert (answer.status_code, answer["Location"]) == (302, "/training/")
    assert browser.put("/training/actions/start/").status_code == 405
    assert not read_coordinator().enabled


def test_signing_in_returns_to_the_requested_page() -> None:
    for sent_from, leads_to in (
        ("http://testserver/tasks/new/?like=3#x", "/tasks/new/%3Flike%3D3"),
        ("http://evil.example/tasks/new/", "/training/"),
        ("", "/training/"),
    ):
        answer = Client(headers={"referer": sent_from}).post("/tasks/new/", {"prompt": "?"})
        assert answer["Location"] == f"/login/?next={leads_to}"


def test_staff_can_sign_in_and_out(staff: User) -> None:
    client = Client()
    response = client.post("/login/", {"username": "ada", "password": "a long enough one", "next": "/training/"})
    assert response["Location"] == "/training/"
    assert client.post("/logout/")["Location"] == "/login/"
    assert client.get("/training/").status_code == 302


def test_an_unknown_address_is_said_to_be_unknown(browser: Client) -> None:
    response = browser.get("/nowhere/")
    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()


def test_the_icon_that_every_browser_asks_for_is_there(client):
    assert client.get("/favicon.ico").headers["Location"] == "/static/favicon.svg"
    assert finders.find("favicon.svg")
