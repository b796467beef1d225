"""The success-check helper of Create Training Queue."""

from __future__ import annotations

import pytest
from django.test import Client

from training.models import Campaign, Host, TrainingSource

CHECK = "/training/actions/check/"
NONE = {"expected_text": "", "expected_url": "", "pattern": "", "min_pages": "", "pages_target": ""}


def say(browser: Client, **typed: str) -> str:
    answer = browser.post(CHECK, {**NONE, **typed}, headers={"X-Fragment": "check-words"})
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({}, "No check of its own"),
        (
            {"expected_text": "read committed"},
            "The words “read committed” must be in the answer or in one of its quotes",
        ),
        ({"expected_url": "http://127.0.0.1:9/a"}, "The page http://127.0.0.1:9/a must be visited"),
        ({"pattern": r"v\d+"}, r"The pattern v\d+ must be found"),
        ({"min_pages": "4"}, "The run must read at least 4 pages."),
        ({"answer_schema": '{"type": "object"}'}, "No check of its own"),
        ({"answer_schema": '{"type": "object"}'}, "The answer must be JSON that fits the given schema"),
        ({"answer_schema": "{"}, "Answer as JSON: This is not JSON"),
        ({"pattern": "("}, "Pattern: The success check cannot be used"),
        ({"expected_url": "ftp://x"}, "Expected page: An address must start with http:// or https://."),
        ({"min_pages": "0"}, "Minimum pages: Ensure this value is greater than or equal to 1."),
    ],
)
def test_it_says_how_a_run_would_be_judged(browser: Client, typed: dict[str, str], words: str) -> None:
    assert words in say(browser, **typed)


def test_all_parts_are_said_and_nothing_is_queued(browser: Client, host: Host) -> None:
    assert say(browser, expected_text="a", pattern="b", min_pages="2").count("<li>") == 3
    assert not TrainingSource.objects.exists()


def test_without_scripts_the_page_comes_back_as_typed(browser: Client, host: Host) -> None:
    page = browser.post(CHECK, {**NONE, "prompt": "Where?", "pattern": "price"}).content.decode()
    assert "The pattern price must be found" in page
    assert ">\nWhere?</textarea>" in page


def test_what_was_said_is_what_is_queued(browser: Client, host: Host) -> None:
    task = {**NONE, "title": "T", "prompt": "Where?", "expected_text": "a", "pattern": r"v\d+", "min_pages": "2"}
    browser.post("/training/actions/queue/", {**task, "campaign": "1", "size": "2"})
    assert Campaign.objects.get().size == 2
    check = TrainingSource.objects.order_by("id").last().check_spec
    assert (check["expected_text"], check["pattern"], check["min_pages"]) == ("a", r"v\d+", 2)


def test_strangers_are_not_answered(client: Client, db: None) -> None:
    assert client.post(CHECK, NONE).status_code == 302
