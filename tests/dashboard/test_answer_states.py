"""How sure an answer is: on the run's page, in lists and in their filter."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from lealife.dashboard.runs.answer_words import describe_certainty
from lealife.dashboard.runs.quotes import cut_at
from promotion.recipes import base_recipe
from promotion.tags import register_tag
from training.agent.ranking import FIRST_SUPPORT
from training.models import Host, Run, Step

PASSAGE = "Four levels exist.\nThe default is read committed. Others can be chosen."
QUOTE = {
    "text": PASSAGE,
    "url": "http://127.0.0.1:9/iso",
    "digest": "d",
    "heading": "Transactions › Isolation",
    "highlight": "The default is read committed.",
}
VERIFIED = {"status": "succeeded", "answer_state": "verified", "answer_score": 0.6, "verifier": "expected_url"}
SUPPORTED = {"status": "succeeded", "answer_state": "supported", "answer_score": 0.83, "verifier": "supported"}
UNSURE = {
    "status": "failed",
    "answer_state": "unsure",
    "answer_score": 0.31,
    "error_code": "unsure",
    "verifier": "supported",
}
NOT_FOUND = {"status": "failed", "answer_state": "not_found", "error_code": "not_found", "quotes": [], "answer": ""}


def make_run(host: Host, **changes: Any) -> Run:
    values = {"lane": "standard", "host": host, "prompt": "Which level is the default?", "pages_target": 1}
    return Run.objects.create(
        **values | {"max_calls": 5, "answer": "It is read committed.", "quotes": [QUOTE]} | changes
    )


def open_run(browser: Client, run: Run) -> str:
    return browser.get(f"/runs/{run.pk}/").content.decode()


def read_text(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_an_answer_stands_first_then_its_quote_in_context_then_how_sure_it_is(browser: Client, host: Host) -> None:
    page = open_run(browser, make_run(host, **SUPPORTED))
    assert "Four levels exist.\n<mark>The default is read committed.</mark> Others can be chosen." in page
    certainty = (
        "Supported: answers with 83 % probability, 63 % are needed; "
        "29 of 34 such answers were right (90 questions about three manuals)"
    )
    answer = '<p class="answer">It is read committed.</p>'
    order = (answer, "Transactions › Isolation", "<mark>", certainty, "Trajectory")
    places = [page.index(words) for words in order]
    assert places == sorted(places)
    assert '<a href="http://127.0.0.1:9/iso"' in page
    assert "No certain answer" not in page


def test_a_verified_answer_says_what_verified_it(browser: Client, host: Host) -> None:
    assert "Verified: the expected page says so" in open_run(browser, make_run(host, **VERIFIED))
    both = Run(answer_state="verified", verifier="expected_url+expected_text+min_pages")
    assert describe_certainty(both, support=FIRST_SUPPORT) == (
        "Verified: the expected page says so and the expected words stand in it or in its quotes"
    )


def test_each_check_that_decided_is_named_in_words(browser: Client, host: Host) -> None:
    text = read_text(open_run(browser, make_run(host, **SUPPORTED | {"verifier": "json_schema+supported"})))
    assert "decided by the JSON schema and the score of the best quote" in text


def test_words_in_quotation_marks_that_were_found_are_no_estimate() -> None:
    found = Run(answer_state="supported", answer_score=1.0, verifier="supported")
    assert (
        describe_certainty(found, support=FIRST_SUPPORT) == "Supported: the words in quotation marks stand on the page"
    )


def test_an_unsure_answer_is_never_shown_as_an_answer_nor_in_green(browser: Client, host: Host) -> None:
    page = open_run(browser, make_run(host, **UNSURE, error="supported: the closest text is far off"))
    text = read_text(page)
    assert "No certain answer" in text
    assert "Unsure: closest text, not an answer; it answers with 31 % probability, 63 % are needed" in text
    assert "decided by the score of the best quote" in text
    assert "unsure the closest text is far off" in text
    assert '<p class="answer">' not in page
    answer = page[page.index('id="answer-title"') : page.index("How success is checked")]
    assert not re.search(r'data-state="(succeeded|verified|supported|green|active)"', answer)
    assert "Succeeded" not in text
    # What the model wrote is kept closed, under what it is.
    assert page.index("What the task model wrote, not an answer") < page.index("It is read committed.")


def test_a_state_is_explained_by_the_threshold_of_the_tag_that_answered(browser: Client, host: Host) -> None:
    strict = replace(FIRST_SUPPORT, threshold=0.8, right=9, answers=10, measured_on="10 questions")
    recipe = replace(base_recipe(role="task", base="tiny:1b"), support=strict)
    tag = register_tag(recipe=recipe, digest="sha256:1", status="active", parent=None)
    supported = open_run(browser, make_run(host, **SUPPORTED, task_tag=tag.name))
    assert "answers with 83 % probability, 80 % are needed; 9 of 10 such answers were right (10 questions)" in supported
    unsure = open_run(browser, make_run(host, **UNSURE | {"answer_score": 0.75}, task_tag=tag.name))
    assert "Unsure: closest text, not an answer; it answers with 75 % probability, 80 % are needed" in unsure


def test_what_failed_its_check_is_not_explained_by_its_score(browser: Client, host: Host) -> None:
    text = read_text(open_run(browser, make_run(host, **UNSURE | {"answer_score": 0.9})))
    assert "Unsure: closest text, not an answer" in text
    assert "are needed" not in text


def test_a_quote_that_is_no_answer_is_not_repeated_as_a_draft(browser: Client, host: Host) -> None:
    run = make_run(host, **UNSURE, is_quoted=True)
    assert "What the task model wrote" not in open_run(browser, run)


def test_nothing_found_says_so(browser: Client, host: Host) -> None:
    text = read_text(open_run(browser, make_run(host, **NOT_FOUND)))
    assert "No answer" in text
    assert "Not found: no page that was read says anything near it" in text
    assert "losest text" not in text


def test_an_answer_that_is_a_quote_is_marked_as_one(browser: Client, host: Host) -> None:
    assert ">Quoted<" in open_run(browser, make_run(host, **SUPPORTED, is_quoted=True))
    assert ">Quoted<" not in open_run(browser, make_run(host, **SUPPORTED))


def test_a_quote_of_an_older_run_has_no_highlight_and_is_shown_whole(browser: Client, host: Host) -> None:
    old = {name: QUOTE[name] for name in ("text", "url", "digest")}
    page = open_run(browser, make_run(host, status="succeeded", quotes=[old]))
    assert f"<blockquote>{PASSAGE}</blockquote>" in page
    assert '<p class="answer">It is read committed.</p>' in page
    assert cut_at("a b c", "d") == ("a b c", "", "")


def test_hostile_words_in_a_passage_stay_text(browser: Client, host: Host) -> None:
    quote = QUOTE | {"text": "<b>x</b> </mark><i>y", "highlight": "</mark><i>", "heading": "<script>"}
    page = open_run(browser, make_run(host, **SUPPORTED, quotes=[quote]))
    assert "&lt;b&gt;x&lt;/b&gt; <mark>&lt;/mark&gt;&lt;i&gt;</mark>y" in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("lane", "word"), [("standard", "Unsure"), ("manual", "Unsure"), ("training", "Failed"), ("evaluation", "Failed")]
)
def test_a_list_shows_how_sure_the_answers_to_questions_are(browser: Client, host: Host, lane: str, word: str) -> None:
    make_run(host, lane=lane, **UNSURE)
    for address in ("/runs/", "/"):
        row = re.search(r'<td class="runs-status">(.*?)</td>', browser.get(address).content.decode())
        assert row is not None
        assert word in read_text(row[1])
    assert ("Unsure" in browser.get("/tasks/new/").content.decode()) == (lane == "standard")


@pytest.mark.parametrize("lane", ["standard", "training", "canary", "evaluation"])
def test_a_success_of_any_lane_says_how_sure_it_is(browser: Client, host: Host, lane: str) -> None:
    make_run(host, lane=lane, **SUPPORTED)
    row = re.search(r'<td class="runs-status">(.*?)</td>', browser.get("/runs/").content.decode())
    assert row is not None
    assert "Supported" in read_text(row[1])


@pytest.mark.parametrize("lane", ["standard", "manual", "training", "canary", "evaluation"])
def test_an_unsure_run_is_nowhere_green(browser: Client, host: Host, lane: str) -> None:
    run = make_run(host, lane=lane, **UNSURE)
    for address in ("/runs/", f"/runs/{run.pk}/", "/tasks/new/"):
        shown = browser.get(address).content.decode()
        marks = re.findall(r'data-state="(verified|supported|succeeded|success|passed)"', shown)
        assert marks == [], address


def test_a_state_is_shown_in_words_and_its_code_once(browser: Client, host: Host) -> None:
    make_run(host, **NOT_FOUND)
    page = browser.get("/runs/").content.decode()
    assert '<span class="mark" data-state="not_found">Not found</span>' in page
    assert "<code" not in re.search(r'<td class="runs-status">(.*?)</td>', page)[1]


def test_a_list_is_narrowed_to_a_state(browser: Client, host: Host) -> None:
    unsure, supported = make_run(host, **UNSURE), make_run(host, **SUPPORTED)
    page = browser.get("/runs/?status=unsure").content.decode()
    assert f"/runs/{unsure.pk}/" in page
    assert f"/runs/{supported.pk}/" not in page
    assert '<option value="unsure" selected>unsure</option>' in page
    assert '<option value="not_found">not found</option>' in page


def test_the_trail_shows_where_the_index_found_an_entry(browser: Client, host: Host) -> None:
    run = make_run(host, **SUPPORTED)
    url = "http://127.0.0.1:9/iso"
    offer = {"url": url, "title": "Isolation", "score": 0.9, "why": "index"}
    Step.objects.create(
        run=run,
        index=0,
        url=url,
        picked_by="model",
        shortlist=[offer | {"heading": "Transactions › Levels", "excerpt": "the default is read committed"}],
    )
    text = read_text(open_run(browser, run))
    assert "number 1 of 1, found in the site index, score 0.900" in text
    assert "Transactions › Levels: “the default is read committed”" in text
