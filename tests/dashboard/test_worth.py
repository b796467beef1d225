"""The first sentence of the dashboard says what is true: measured on held-out questions, or what was answered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from lealife.dashboard.facts import read_facts
from lealife.dashboard.home.worth import (
    Asked,
    build_worth_panel,
    count_asked,
    describe_basis,
    describe_worth,
    name_since,
    read_asked,
)
from promotion.evaluation.held_out import HeldOut, Measured
from promotion.routing import Routing
from training.models import Host, Run

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)  # a Thursday
MONDAY = NOW - timedelta(days=3)
THEN, LATELY = Measured(60, 0.27, 4.31, MONDAY), Measured(52, 0.609, 2.2, NOW)


def say(*, sites: int = 2, held_out: HeldOut | None = None, asked: Asked | None = None) -> str:
    return describe_worth(sites, held_out=held_out, asked=asked, now=NOW).replace("\N{NO-BREAK SPACE}", " ")


def ask(**counts: int) -> Asked:
    return Asked(**{"answered": 0, "unsure": 0, "not_found": 0, "broken": 0, **counts}, since=MONDAY)


def test_held_out_success_is_told_then_and_now() -> None:
    held_out = HeldOut(now=LATELY, before=THEN)
    assert say(held_out=held_out, asked=ask(answered=3)) == (
        "Answers questions about 2 sites; held-out success 27 % → 61 % since Monday, 4.3 → 2.2 calls."
    )
    assert describe_basis(held_out) == (
        "Held-out success: 60 questions then and 52 now, which training never asks."
    )  # fmt: skip


def test_a_decline_is_told_in_the_same_words() -> None:
    assert "held-out success 61 % → 27 % today, 2.2 → 4.3 calls" in say(held_out=HeldOut(now=THEN, before=LATELY))


def test_one_measurement_is_told_without_a_comparison() -> None:
    assert say(sites=1, held_out=HeldOut(now=THEN, before=None)) == (
        "Answers questions about 1 site; held-out success 27 % in 4.3 calls."
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (ask(answered=14, unsure=6), "14 of 20 questions asked since Monday were answered, the rest unsure."),
        (ask(answered=14, not_found=6), "14 of 20 questions asked since Monday were answered, the rest not found."),
        (
            ask(answered=1, unsure=2, not_found=3, broken=4),
            "1 of 10 questions asked since Monday were answered, 2 unsure, 3 not found, 4 broken off.",
        ),
        (ask(answered=5), "5 of 5 questions asked since Monday were answered."),
        (ask(unsure=1), "0 of 1 question asked since Monday was answered, 1 unsure."),
    ],
)
def test_without_a_measurement_it_tells_what_became_of_the_questions(asked: Asked, said: str) -> None:
    assert say(asked=asked) == f"Answers questions about 2 sites; {said}"


def test_without_either_it_says_that_nothing_is_measured() -> None:
    assert say() == "Answers questions about 2 sites. Nothing is measured on held-out questions yet."
    assert say(sites=0) == "No site can be asked about yet."


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (timedelta(), "today"),
        (timedelta(hours=9), "today"),
        (timedelta(hours=-9), "today"),
        (timedelta(hours=10), "since yesterday"),
        (timedelta(days=6), "since Friday"),
        (timedelta(days=7), "since 19 November"),
        (timedelta(days=400), "since 22 October 2025"),
    ],
)
def test_a_day_is_named_as_people_name_it(before: timedelta, said: str) -> None:
    assert name_since(NOW - before, now=NOW) == said


def test_only_ended_questions_of_the_last_week_are_counted(host: Host) -> None:
    def make(lane: str, status: str, state: str = "", *, days: float = 1.0) -> None:
        at = NOW - timedelta(days=days)
        Run.objects.create(
            lane=lane, status=status, answer_state=state, host=host, prompt="?", pages_target=1, max_calls=1,
            created_at=at,
        )  # fmt: skip

    assert read_asked(now=NOW) is None
    make("standard", "succeeded", "verified", days=3)
    make("manual", "succeeded", "supported")
    make("standard", "failed", "unsure")
    make("standard", "failed", "not_found")
    make("standard", "failed")
    make("standard", "running")
    make("standard", "cancelled")
    make("training", "succeeded", "verified")
    make("standard", "succeeded", "verified", days=8)
    assert read_asked(now=NOW) == Asked(answered=2, unsure=1, not_found=1, broken=1, since=NOW - timedelta(days=3))


def test_questions_that_are_older_count_for_nothing() -> None:
    assert count_asked([("succeeded", "verified", MONDAY)], since=NOW) is None


def test_the_page_shows_the_sentence_first_and_what_it_rests_on(browser: Client, host: Host) -> None:
    page = browser.get("/").content.decode()
    assert "Answers questions about 1 site. Nothing is measured on held-out questions yet." in page
    assert page.count("Nothing is measured on held-out questions yet.") == 1
    Run.objects.create(
        lane="standard", status="failed", answer_state="unsure", host=host, prompt="?", pages_target=1, max_calls=1
    )
    page = browser.get("/").content.decode()
    assert "0 of 1 question asked today was answered, 1 unsure." in page
    assert page.index("asked today") < page.index("Nothing is measured on") < page.index('name="prompt"')


def test_it_costs_two_queries_at_most(host: Host, django_assert_max_num_queries) -> None:
    facts = read_facts(now=NOW)
    with django_assert_max_num_queries(2):
        build_worth_panel(facts, routing=Routing(controller=None, task=None), hosts=(), now=NOW)
