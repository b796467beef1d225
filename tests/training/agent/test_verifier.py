"""The deterministic checks: what each wants, and which one is named."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from training.agent.reading.evidence import ReadPage
from training.agent.reading.page import ParsedPage
from training.agent.task import Site, SuccessCheck, Task
from training.agent.trajectory import Quote
from training.agent.verifier import PATTERN_S, Gathered, _check_pattern, check_gathered, check_quotes, check_visits

ROSES = "http://site.example/roses.html"
TREES = "http://site.example/trees.html"


def evidence(url: str, text: str, *, asked: str = "", digest: str = "") -> ReadPage:
    page = ParsedPage(url, "", (), (), text)
    return ReadPage(page, frozenset({url, asked or url}), digest or f"digest of {url}")


PAGES = (evidence(ROSES, "Prune in\u00a0late\nwinter. 12 roses."), evidence(TREES, "An old oak."))
QUOTE = Quote("Prune in late winter.", ROSES, f"digest of {ROSES}")
GATHERED = Gathered(pages=PAGES, answer="In late winter.", quotes=(QUOTE,), score=0.8)


def check(gathered: Gathered = GATHERED, *, pages_target: int = 1, **parts: Any) -> tuple[bool, str]:
    task = Task("?", Site("s", "http://site.example/"), SuccessCheck(**parts), pages_target, 5)
    verdict = check_gathered(task=task, gathered=gathered, threshold=0.5)
    assert verdict.success is (verdict.reason == "")
    assert verdict.success or verdict.reason.startswith(verdict.verifier)
    return verdict.success, verdict.verifier


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ({"expected_urls": (ROSES,)}, (True, "expected_url")),
        ({"expected_urls": ("HTTP://Site.example:80/roses.html#x", TREES)}, (True, "expected_url")),
        ({"expected_urls": ("http://site.example/other.html",)}, (False, "expected_url")),
        ({"expected_urls": (TREES,)}, (False, "expected_url")),
        ({"expected_urls": ("no address",)}, (False, "expected_url")),
        ({"expected_text": "prune in LATE winter"}, (True, "expected_text")),
        ({"expected_text": "in summer"}, (False, "expected_text")),
        ({"expected_text": "prune in LATE winter", "in_answer": True}, (False, "expected_text")),
        ({"pattern": r"^Prune"}, (True, "pattern")),
        # It stands on a page, but no answer says so.
        ({"pattern": r"\d+ roses"}, (False, "pattern")),
        ({"expected_text": "12 roses"}, (False, "expected_text")),
        ({"pattern": r"^In late"}, (True, "pattern")),
        ({"pattern": r"\d+ tulips"}, (False, "pattern")),
        ({"min_pages": 2}, (True, "min_pages+supported")),
        ({"min_pages": 3}, (False, "min_pages")),
        ({"json_schema": {"type": "object"}}, (False, "json_schema")),
        ({"expected_urls": (ROSES,), "min_pages": 2}, (True, "expected_url+min_pages")),
        ({"expected_urls": (ROSES,), "expected_text": "tulips", "min_pages": 2}, (False, "expected_text")),
    ],
)
def test_every_given_check_must_hold(parts: dict[str, Any], verdict: tuple[bool, str]) -> None:
    assert check(**parts) == verdict


def test_a_pattern_that_backtracks_without_end_fails_in_a_second() -> None:
    page = Gathered(pages=(), answer="a" * 60 + "!")
    # Of processor time, as the pattern's own limit is: next to other processes a second of it takes longer.
    started = time.process_time()
    assert "backtrack without end" in _check_pattern(r"(a|aa)+$", page)
    assert time.process_time() - started < 3 * PATTERN_S


def test_without_a_check_the_score_of_the_quotes_and_the_pages_target_decide() -> None:
    assert check(pages_target=2) == (True, "supported")
    assert check(replace(GATHERED, score=0.4)) == (False, "supported")
    assert check(replace(GATHERED, score=0.4), min_pages=1) == (False, "supported")
    assert check(pages_target=3) == (False, "pages_target")
    assert check(Gathered(pages=PAGES, answer="I am sure of it.")) == (False, "quotes")
    assert check(Gathered(pages=()), pages_target=0) == (False, "quotes")


def test_a_page_reached_by_redirect_counts_under_both_addresses() -> None:
    moved = evidence(ROSES, "Prune in late winter.", asked="http://site.example/old.html")
    gathered = Gathered(pages=(moved,), quotes=(QUOTE,))
    assert check(gathered, expected_urls=("http://site.example/old.html",)) == (True, "expected_url")


def test_a_quote_from_the_same_content_under_another_address_counts() -> None:
    twin = evidence("http://site.example/twin.html", "Prune in late winter.", digest=QUOTE.body_digest)
    gathered = Gathered(pages=(*PAGES, twin), quotes=(QUOTE,))
    assert check(gathered, expected_urls=("http://site.example/twin.html",)) == (True, "expected_url")


def test_the_same_words_twice_are_one_page_whatever_their_bytes() -> None:
    twin = evidence("http://site.example/", PAGES[0].page.text, digest="other bytes")
    assert check(Gathered(pages=(PAGES[0], twin), quotes=(QUOTE,)), min_pages=2) == (False, "min_pages")


def test_one_page_under_the_address_that_it_names_is_one_page() -> None:
    said = ("Prune in late winter.", "Water in summer.", "Rest.")
    pages = tuple(
        ReadPage(ParsedPage(f"{ROSES}?{number}", "", (), (*said, f"Visit {number}."), f"{said} {number}", ROSES),
                 frozenset({f"{ROSES}?{number}"}), f"digest {number}")
        for number in range(3)
    )  # fmt: skip
    assert check(Gathered(pages=pages, quotes=(QUOTE,)), min_pages=2) == (False, "min_pages")


@pytest.mark.parametrize(
    ("answer", "is_valid"),
    [
        ('{"n": 3, "tags": ["a"]}', True),
        ('{"n": 3.5}', False),
        ('{"n": true}', False),
        ('{"tags": []}', False),
        ('{"n": 3, "tags": ["c"]}', False),
        ('{"n": 3, "tags": "a"}', False),
        ("three", False),
    ],
)
def test_a_json_answer_is_held_against_its_schema(answer: str, is_valid: bool) -> None:
    tags = {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "tags": tags}, "required": ["n"]}
    gathered = replace(GATHERED, answer=answer)
    assert check(gathered, json_schema=schema) == (is_valid, "json_schema+supported" if is_valid else "json_schema")


def test_a_quote_must_stand_on_the_page_it_names() -> None:
    invented = Quote("Prune in high summer.", ROSES, QUOTE.body_digest)
    elsewhere = Quote("An old oak.", ROSES, QUOTE.body_digest)
    older = Quote(QUOTE.text, ROSES, "digest of another content")
    empty = Quote(" ", ROSES, QUOTE.body_digest)
    assert check_quotes(quotes=(QUOTE, invented, elsewhere, older, empty), pages=PAGES) == (QUOTE,)


def test_what_no_answer_can_mend_is_known_before_the_answer() -> None:
    site = Site("s", "http://site.example/")
    early = Gathered(pages=PAGES, quotes=(QUOTE,))
    hopeless = Task("?", site, SuccessCheck(expected_urls=("http://site.example/none",)), 1, 5)
    hopeful = Task("?", site, SuccessCheck(expected_urls=(ROSES,), expected_text="still unsaid"), 1, 5)
    assert not check_visits(task=hopeless, gathered=early).success
    assert check_visits(task=hopeful, gathered=early).success


def test_a_run_without_a_quote_says_what_was_read_and_what_was_missing() -> None:
    task = Task("?", Site("s", "http://site.example/"), SuccessCheck(), 1, 5)
    titled = ReadPage(ParsedPage(ROSES, "All about roses", (), (), ""), frozenset({ROSES}), "d1")
    many = [evidence(f"http://site.example/{number}.html", "") for number in range(3)]
    reason = check_gathered(task=task, gathered=Gathered(pages=(titled,)), threshold=0.5).reason
    assert reason == (
        "quotes: 1 page was read (All about roses), and no passage was close enough to the question to be quoted"
    )
    reason = check_gathered(task=task, gathered=Gathered(pages=(titled, *many)), threshold=0.5).reason
    assert reason.startswith("quotes: 4 pages were read (All about roses; http://site.example/0.html; ")
    assert " and 1 more), " in reason
    assert check_gathered(task=task, gathered=Gathered(pages=()), threshold=0.5).reason == "quotes: no page was read"
