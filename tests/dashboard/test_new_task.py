"""The question form."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from lealife.dashboard.ask import hosts
from lealife.dashboard.ask.panel import read_task_page
from learning.models import FrontierPage, MemoryItem
from tests.dashboard.conftest import make_tag
from training.models import Host, Run

ASK = {"prompt": "What is a queue?"}


def ask(browser: Client, **fields: object) -> tuple[int, str]:
    response = browser.post("/tasks/new/", {**ASK, **fields})
    return response.status_code, response.content.decode()


def test_a_question_leads_to_its_live_run(browser: Client, host: Host) -> None:
    response = browser.post("/tasks/new/", {**ASK, "host": host.pk, "pages_target": 2})
    run = Run.objects.get()
    assert response["Location"] == f"/runs/{run.pk}/"
    assert (run.lane, run.prompt, run.host, run.pages_target, run.requested_by) == (
        "standard", "What is a queue?", host, 2, "ada",
    )  # fmt: skip
    page = browser.get(response["Location"]).content.decode()
    assert "is waiting for a free control slot" in page
    assert f'data-page="run-{run.pk}"' in page


def test_the_host_is_recognised_by_an_address_in_the_prompt(browser: Client, host: Host) -> None:
    other = Host.objects.create(name="other", base_url="http://other.example/")
    assert ask(browser, prompt="What does http://other.example/a say?")[0] == 302
    assert Run.objects.get().host == other


def test_an_address_on_no_known_host_is_refused_and_never_asked_of_another(browser: Client, host: Host) -> None:
    status, page = ask(browser, prompt="What does https://unknown.example/a say?")
    assert status == 422
    assert "unknown.example is on no known host" in page
    assert not Run.objects.exists()
    assert ask(browser, prompt="What is said of https://unknown.example/a?", host=host.pk)[0] == 302


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": " "}, "This field is required"),
        ({"prompt": "x" * 20_001}, "at most 20000 characters"),
        ({"pages_target": "51"}, "less than or equal to 50"),
        ({"pages_target": "many"}, "Enter a whole number"),
        ({"expected_url": "javascript:alert(1)"}, "must start with http"),
        ({"host": "987654"}, "Select a valid choice"),
    ],
)
def test_what_cannot_be_asked_is_said_at_its_field_and_kept_as_typed(
    browser: Client, host: Host, fields: dict[str, str], words: str
) -> None:
    status, page = ask(browser, expected_text="<b>kept</b>", **fields)
    assert (status, Run.objects.count()) == (422, 0)
    assert words in page
    assert 'aria-invalid="true"' in page
    assert "&lt;b&gt;kept&lt;/b&gt;" in page


def test_two_hosts_and_none_named_asks_for_one(browser: Client, host: Host) -> None:
    Host.objects.create(name="other", base_url="http://other.example/")
    assert "Name a host" in ask(browser)[1]


def test_both_checks_are_taken(browser: Client, host: Host) -> None:
    ask(browser, expected_text=" line ", expected_url=f"{host.base_url}queue")
    assert Run.objects.get().check_spec == {"expected_text": "line", "expected_urls": [f"{host.base_url}queue"]}


SCHEMA = '{"type": "object", "properties": {"port": {"type": "integer"}}}'


def test_an_answer_may_be_asked_for_as_json(browser: Client, host: Host) -> None:
    assert ask(browser, answer_schema=SCHEMA)[0] == 302
    run = Run.objects.get()
    assert run.check_spec == {"json_schema": json.loads(SCHEMA)}
    page = browser.get(f"/runs/{run.pk}/").content.decode()
    assert "No check of its own" in page
    assert "must be JSON that fits the given schema" in page
    again = browser.get(f"/tasks/new/?like={run.pk}").content.decode()
    assert "&quot;port&quot;: {" in again and "open>" in again


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("{", "This is not JSON"),
        ("[" * 5_000, "This is not JSON"),
        ("[1]", "json_schema is a JSON object"),
        ('{"type": "object", "minimum": 3}', "json_schema cannot check"),
    ],
)
def test_a_schema_that_cannot_be_used_is_said_at_its_field(browser: Client, host: Host, typed: str, words: str) -> None:
    status, page = ask(browser, answer_schema=typed)
    assert (status, Run.objects.count()) == (422, 0)
    assert words in page
    assert 'id="id_answer_schema_error"' in page


def test_a_question_like_an_earlier_one_begins_with_its_task(browser: Client, host: Host) -> None:
    ask(browser, expected_text="line", expected_url=f"{host.base_url}queue", pages_target=4)
    page = browser.get(f"/tasks/new/?like={Run.objects.get().pk}").content.decode()
    for words in ("What is a queue?</textarea>", f'value="{host.base_url}queue"', 'value="line"', 'value="4"', "open>"):
        assert words in page
    assert f'<option value="{host.pk}" selected>' in page
    assert browser.get("/tasks/new/?like=987654").status_code == 404
    for query in ("?like=x", "?host=-1", "?like=" + "9" * 40, "?host=" + "9" * 17):
        assert browser.get(f"/tasks/new/{query}").status_code == 200


def test_it_says_who_will_answer_and_what_is_known(browser: Client, host: Host) -> None:
    page = browser.get("/tasks/new/").content.decode()
    assert page.count("none yet: made at the first contact with the model server") == 2
    assert "No question has been asked yet" in page
    make_tag("controller", name="lealife-controller:w1", digest="sha256:1", status="active")
    for number in range(3):
        FrontierPage.objects.create(host=host, url=f"{host.base_url}{number}", url_digest=str(number))
        MemoryItem.objects.create(host=host, kind="page", key=str(number), status="trusted" if number else "retired")
    make = {"lane": "standard", "host": host, "pages_target": 1, "max_calls": 1}
    Run.objects.create(prompt="An earlier question", **make)
    Run.objects.create(prompt="A lesson", **make | {"lane": "training"})
    page = browser.get("/tasks/new/").content.decode()
    for words in ("lealife-controller:w1", "3 pages known, 2 memory items to recall", "An earlier question"):
        assert words in page
    assert "A lesson" not in page


def test_without_a_host_it_says_where_one_is_added(browser: Client) -> None:
    page = browser.get("/tasks/new/").content.decode()
    assert "No host is in use" in page
    assert "/admin/training/host/" in page


def test_the_page_costs_four_queries_and_counts_no_further_than_it_shows(
    host: Host, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries
) -> None:
    monkeypatch.setattr(hosts, "COUNT_MAX", 2)
    read_task_page()
    for size in (1, 9):
        for number in range(size):
            FrontierPage.objects.create(host=host, url=f"{size}-{number}", url_digest=f"{size}-{number}")
            Host.objects.create(name=f"{size}-{number}", base_url=f"http://{size}-{number}.example/")
        with django_assert_num_queries(4):
            page = read_task_page()
    known = next(facts for facts in page.hosts if facts.id == host.pk)
    assert known.pages_words == "more than 2"
