"""What a tag gives the agent, in words: on the pages, in admin and over the API."""

from __future__ import annotations

from dataclasses import asdict, fields, replace

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from lealife.dashboard.live.snapshot import render_fragment, take_snapshot
from promotion.calibration import Calibrated
from promotion.models import ModelTag
from promotion.recipe_words import describe_change, describe_here, describe_recipe
from promotion.recipes import Recipe, base_recipe
from promotion.tags import register_tag
from tests.promotion.scenes import BASE, Servers, change_settings, make_base_tags, make_tasks, open_trial
from tests.promotion.test_calibration import make_run
from training.agent.ranking import FIRST_SUPPORT, FIRST_WEIGHTS
from training.models import Host

RANKER = (
    "Ranker: BM25 0.5, meaning 2, words in the text 0.5, in the headings 0.2, in the title 0.2, in the address 0.3, "
    "link text 1, quoted words 1, record 0.5, exact names 0.15, "
    "failed before \N{MINUS SIGN}0.5."
)
SUPPORTED_FROM = "An answer counts as supported from"
SUPPORT = f"{SUPPORTED_FROM} 63 %: 29 of 34 such answers were right (90 questions about three manuals)."
NONE_HERE = "Here: no answer above it has been checked yet."


@pytest.fixture
def tags(host: Host, servers: Servers) -> tuple[ModelTag, ModelTag]:
    made = make_base_tags(servers)
    make_tasks(host, 12)
    change_settings(evaluation_pairs=12)
    return made


@pytest.fixture
def browser(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("ada", password="a long enough one"))
    return client


def read_terms(tag: ModelTag, why: str = "", **changes: object) -> str:
    """The arms of an evaluation of a tag that differs in `changes`."""
    recipe = replace(Recipe.from_json(tag.recipe), **changes)
    other = register_tag(recipe=recipe, digest=recipe.digest, status="candidate", parent=tag, why=why)
    snapshot = take_snapshot(f"candidate-{open_trial(other).pk}", now=timezone.now())
    return render_fragment(snapshot, "terms")


def test_a_recipe_is_described_by_what_its_role_gives_the_agent():
    assert describe_recipe(base_recipe(role="controller", base=BASE)) == RANKER
    assert describe_recipe(base_recipe(role="task", base=BASE)) == SUPPORT
    assert describe_here(Calibrated(0.6, 41, 47)) == "Here: 41 of 47 checked answers above it were right."
    assert describe_here(Calibrated(0.6, 1, 1)) == "Here: 1 of 1 checked answers above it was right."


def test_a_recipe_that_asks_seldom_says_when_it_does():
    recipe = replace(base_recipe(role="controller", base=BASE), ask_below=0.12)
    asked = "The model is asked only where the first two pages are closer than 0.12; elsewhere the first is opened."
    assert describe_recipe(recipe) == f"{RANKER} {asked}"


def test_a_change_is_told_in_a_sentence_for_each_field():
    parent = base_recipe(role="controller", base=BASE)
    turns = (("user", "x"), ("assistant", '{"pick": 1}'))
    asked = "The model is asked only where the first two pages are closer than 0.12; elsewhere the first is opened."
    for change, said in (
        ({}, ""),
        ({"parameters": {**parent.parameters, "seed": 7}}, ""),
        ({"ask_below": 0.12}, asked),
        ({"shortlist_size": 8}, "The shortlist has 8 pages instead of 5."),
        ({"messages": turns}, "The model is shown 1 example instead of none."),
        ({"messages": turns * 6}, "The model is shown 6 examples instead of none."),
        ({"base": "other:1b"}, f"The base is other:1b instead of {BASE}."),
        ({"system": "Pick."}, "The model is instructed so: “Pick.”"),
        ({"parameters": {**parent.parameters, "num_ctx": 8192}}, "num_ctx is 8192 instead of 4096."),
        (
            {"weights": replace(FIRST_WEIGHTS, cosine=2.3, title=0.4)},
            "Pages are ranked by other weights: meaning 2.3 instead of 2, in the title 0.4 instead of 0.2.",
        ),
    ):
        assert describe_change(parent, replace(parent, **change)) == said
    seldom = replace(parent, ask_below=0.12, messages=turns)
    assert describe_change(seldom, parent) == (
        "The model is shown no examples instead of 1. The model is asked at every choice. Before, 0.12 was the limit."
    )
    other = replace(seldom, messages=(("user", "y"), ("assistant", '{"pick": 1}')))
    assert describe_change(seldom, other) == "The model is shown 1 other example."


def test_every_field_of_a_recipe_has_words_for_its_change():
    parents = {role: base_recipe(role=role, base=BASE) for role in ("controller", "task")}
    changes = {
        "base": "b", "system": "s", "messages": (("user", "x"), ("assistant", "y")), "parameters": {"num_ctx": 1},
        "shortlist_size": 9, "weights": replace(FIRST_WEIGHTS, bm25=9.0), "ask_below": 0.5,
        "support": replace(FIRST_SUPPORT, threshold=0.9),
    }  # fmt: skip
    assert changes.keys() | {"role"} == {each.name for each in fields(Recipe)}
    for name, value in changes.items():
        assert any(describe_change(parent, replace(parent, **{name: value})) for parent in parents.values()), name


def test_a_candidates_page_says_why_it_was_built_and_what_it_changes(tags):
    page = read_terms(tags[0], why="Something could be saved.", shortlist_size=8)
    assert "Candidate. Something could be saved. The shortlist has 8 pages instead of 5." in page
    assert f"Baseline. {RANKER}" in page


def test_a_candidate_of_the_task_model_says_what_counts_and_what_was_right_here(tags):
    for score, status in ((0.9, "succeeded"), (0.7, "failed"), (0.5, "failed")):
        make_run(tags, answer_score=score, status=status, verifier="expected_text")
    page = read_terms(tags[1], support=replace(FIRST_SUPPORT, threshold=0.8, right=4, answers=4))
    assert f"{SUPPORTED_FROM} 80 %: 4 of 4 such answers were right" in page
    assert f"{SUPPORT} Here: 1 of 2 checked answers above it was right." in page


def test_the_training_page_and_admin_say_what_the_active_tags_give(tags, browser: Client):
    page = browser.get("/training/").content.decode()
    assert RANKER in page and f"{SUPPORT} {NONE_HERE}" in page
    controller, task = (browser.get(f"/admin/promotion/modeltag/{tag.pk}/change/").content.decode() for tag in tags)
    assert RANKER in controller and f"{SUPPORT} {NONE_HERE}" in task


def test_the_api_gives_the_figures(tags, browser: Client):
    make_run(tags, answer_score=0.9)
    proof = browser.get("/api/models/proof").json()
    assert (proof["task"]["weights"], proof["controller"]["support"]) == (None, None)
    assert proof["controller"]["weights"] == asdict(FIRST_WEIGHTS)
    assert proof["task"]["support"] == asdict(FIRST_SUPPORT)
    assert proof["checked"] == {"threshold": 0.63, "right": 1, "answers": 1}
