from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from lealife.core.actors import command_line
from lealife.dashboard.ask.check_words import describe_check
from lealife.dashboard.live.snapshot import take_snapshot
from lealife.dashboard.runs.error_words import WORDS
from lealife.run_actions import judge_run
from learning.models import MemoryItem
from training.agent.errors import ErrorCode
from training.models import Host, Run, Step


def make_run(host: Host, **changes) -> Run:
    values = {"lane": "standard", "host": host, "prompt": "What is it?", "pages_target": 3, "max_calls": 5}
    return Run.objects.create(**values | changes)


def test_a_run_shows_its_trajectory_and_evidence(browser: Client, host: Host) -> None:
    run = make_run(
        host,
        status="succeeded",
        answer="Read committed.",
        quotes=[{"text": "The default is read committed.", "url": "http://127.0.0.1:9/iso", "digest": "d"}],
        verifier="quotes",
        controller_tag="lealife-controller:w1",
        controller_digest="sha256:11",
        served_controller_digest="sha256:99",
        memories=[{"id": 7, "kind": "route", "url": "http://127.0.0.1:9/iso", "title": "Isolation", "score": 0.5}],
        memory_used=[7],
        memory_withheld=[8],
    )
    Step.objects.create(run=run, index=0, url="http://127.0.0.1:9/", picked_by="start", title="Start here")
    Step.objects.create(
        run=run,
        index=1,
        url="http://127.0.0.1:9/iso",
        picked_by="model",
        shortlist=[{"url": "http://127.0.0.1:9/iso", "title": "Isolation", "score": 0.9, "why": "memory"}],
        recalled=[7],
        error_code="fetch_failed",
        error="timed out",
    )
    page = browser.get(f"/runs/{run.pk}/").content.decode()
    for words in (
        "Read committed.", "The default is read committed.", "decided by quotes", "digests differ", "1 withheld",
        "1 followed", "Start here",
        "Picked by the controller model (number 1 of 1, recalled from memory, score 0.900).",
        "Recalled items used: Isolation (7)", "fetch_failed", "timed out",
    ):  # fmt: skip
        assert words.lower() in page.lower()


def test_a_run_shows_why_memory_was_recalled_and_which_page_misled(browser: Client, host: Host) -> None:
    why = "An answer from this page to a question like this was judged wrong."
    run = make_run(
        host,
        status="succeeded",
        answer="Read committed.",
        quotes=[{"text": "The default is read committed.", "url": "http://127.0.0.1:9/iso", "digest": "d"}],
        memories=[{"id": 0, "kind": "misled", "url": "http://127.0.0.1:9/old", "title": "Old", "score": 0, "why": why}],
    )
    judge_run(run_id=run.pk, right=False, by=command_line("ada"), origin="page")
    page = browser.get(f"/runs/{run.pk}/").content.decode()
    assert why in page
    assert "http://127.0.0.1:9/iso is visited last for this question and similar ones." in page


def test_an_address_that_is_no_web_address_is_never_a_link(browser: Client, host: Host) -> None:
    quote = {"text": "<b>bold</b>", "url": "javascript:alert(1)", "digest": "d"}
    run = make_run(host, status="succeeded", quotes=[quote], answer="<i>")
    Step.objects.create(run=run, index=0, url="javascript:alert(2)", picked_by="start")
    page = browser.get(f"/runs/{run.pk}/").content.decode()
    assert 'href="javascript' not in page
    assert "<b>bold" not in page
    assert "&lt;i&gt;" in page


def test_a_run_that_does_not_exist_is_not_found(browser: Client) -> None:
    assert browser.get("/runs/1/").status_code == 404
    assert browser.get("/runs/99999999999999999999999999/").status_code == 404


def test_a_run_says_what_happens_to_it_while_nothing_has_come_yet(browser: Client, host: Host) -> None:
    now = timezone.now()
    for changes, words in (
        ({"status": "queued"}, "is waiting for a free control slot"),
        ({"status": "claimed"}, "A worker is about to start it"),
        ({"status": "running", "started_at": now}, "opening its start page"),
        ({"status": "cancelled"}, "The run ended before its first step"),
    ):
        assert words in browser.get(f"/runs/{make_run(host, **changes).pk}/").content.decode()


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_error_code_says_what_it_means_and_what_to_do(browser: Client, host: Host, code: str) -> None:
    words = WORDS[code]
    page = browser.get(f"/runs/{make_run(host, status='failed', error_code=code).pk}/").content.decode()
    for sentence in (words.meaning, words.remedy, f"<code>{code}</code>"):
        assert sentence.replace("'", "&#x27;") in page


def test_withheld_items_and_the_status_of_recalled_ones_are_shown(browser: Client, host: Host) -> None:
    trusted, retired = (
        MemoryItem.objects.create(host=host, kind="page", key=key, status=key, title=f"A {key} page")
        for key in ("trusted", "retired")
    )
    run = make_run(
        host,
        memories=[
            {"id": retired.pk, "kind": "page", "url": "", "title": "Old", "score": 1},
            {"id": 999_999, "title": "x"},
        ],
        memory_withheld=[trusted.pk],
    )
    page = browser.get(f"/runs/{run.pk}/").content.decode()
    for words in ("A trusted page", "now retired", "now forgotten"):
        assert words in page


def test_a_long_run_costs_as_many_queries_as_a_short_one(host: Host, django_assert_max_num_queries) -> None:
    runs = [make_run(host, memories=[{"id": pk, "title": ""} for pk in range(1, size)]) for size in (2, 9)]
    for run in runs:
        Step.objects.bulk_create(
            Step(run=run, index=index, url="http://127.0.0.1:9/", picked_by="model", recalled=[1])
            for index in range(len(run.memories))
        )
        with django_assert_max_num_queries(6):
            take_snapshot(f"run-{run.pk}", now=timezone.now())


def test_a_check_is_described_in_plain_words() -> None:
    assert "a quote that is likely enough to answer" in describe_check({}, pages_target=1)[0]
    told = " ".join(
        describe_check(
            {
                "expected_urls": ["http://a/", "http://b/"],
                "expected_text": "fox",
                "pattern": "f.x",
                "json_schema": {"type": "object"},
                "min_pages": 2,
            },
            pages_target=None,
        )
    )
    for words in ("http://a/ or 1 more", "“fox”", "f.x", "JSON", "at least 2 pages"):
        assert words in told


def test_a_role_that_asked_no_model_says_so_and_agrees_with_nothing(browser: Client, host: Host) -> None:
    run = make_run(
        host, status="succeeded", controller_tag="c:w1", controller_digest="sha256:11", task_tag="t:w1",
        task_digest="sha256:22", served_task_digest="sha256:22",
    )  # fmt: skip
    page = browser.get(f"/runs/{run.pk}/").content.decode().lower()
    assert "not asked" in page
    assert "digests agree" in page
