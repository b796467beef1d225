"""Candidates: recipes of verified exemplars, refused before any run when they would change nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lealife.lib.errors import GateRefused
from learning.models import MemoryItem
from promotion.candidates import GRID, Exemplar, choose_exemplars, choose_recipe, format_exemplars, read_exemplars
from promotion.models import ModelTag
from promotion.recipes import Recipe
from promotion.tags import register_tag
from tests.promotion.scenes import Servers, make_base_tags, make_candidate
from training.agent.controller import format_situation
from training.agent.trajectory import Choice
from training.models import Host, Run, Step


def make_exemplar(run_id: int, *, right: int, size: int = 5) -> Exemplar:
    shortlist = tuple(
        Choice(url=f"http://x/{n}", title=f"Page {n}", score=1.0 - n / 10, why="link") for n in range(size)
    )
    return Exemplar(run_id, f"Question {run_id}?", shortlist, right)


def remember_exemplar(host: Host, number: int, *, right: int = 0, status: str = "trusted", prompt: str = "") -> Run:
    """A verified run with one situation of five links, and the memory of it."""
    run = Run.objects.create(
        lane="training", status="succeeded", host=host, prompt=prompt or f"Question {number}?", pages_target=1,
        max_calls=5,
    )  # fmt: skip
    shortlist = [
        {"url": f"{host.base_url}{n}.html", "title": f"Page {n}", "score": 1.0 - n / 10, "why": "link"}
        for n in range(5)
    ]
    Step.objects.create(run=run, index=1, url=host.base_url, shortlist=shortlist, picked_by="model")
    MemoryItem.objects.create(
        host=host, kind="exemplar", key=f"e{number}", status=status,
        data={"run": run.pk, "step": 1, "right": right, "size": 5},
    )  # fmt: skip
    return run


@pytest.fixture
def parent(host: Host, servers: Servers) -> ModelTag:
    return make_base_tags(servers)[0]


# Choosing exemplars.


def test_right_picks_stand_at_each_position_as_often_as_they_truly_do():
    exemplars = [make_exemplar(n, right=0 if n < 10 else 1 if n < 15 else 2) for n in range(20)]
    assert sorted(exemplar.right for exemplar in choose_exemplars(exemplars, count=4)) == [0, 0, 1, 2]


def test_shares_that_do_not_come_out_even_are_rounded_to_the_count():
    exemplars = [make_exemplar(n, right=n % 3) for n in range(9)]
    for count in range(9):
        assert len(choose_exemplars(exemplars, count=count)) == count
    assert len(choose_exemplars(exemplars, count=50)) == 9
    assert choose_exemplars([], count=4) == []


def test_a_run_gives_one_exemplar():
    chosen = choose_exemplars([make_exemplar(7, right=n) for n in range(4)], count=4)
    assert len(chosen) == 1


def test_the_newest_of_a_position_come_first_and_the_order_is_that_of_the_runs():
    chosen = choose_exemplars([make_exemplar(n, right=0) for n in (9, 8, 7, 6)], count=2)
    assert [exemplar.run_id for exemplar in chosen] == [8, 9]


def test_exemplars_are_written_in_the_words_of_the_controller():
    exemplar = make_exemplar(1, right=2)
    user, assistant = format_exemplars([exemplar])
    assert user == ("user", format_situation(exemplar.prompt, exemplar.shortlist))
    assert assistant == ("assistant", '{"pick": 3}')


def test_only_trusted_situations_are_read_and_cut_to_the_shortlist(host):
    remember_exemplar(host, 1, right=2)
    remember_exemplar(host, 2, right=4)
    remember_exemplar(host, 3, status="quarantined")
    remember_exemplar(host, 4, prompt="Long? " * 100)
    found = read_exemplars(shortlist_size=3)
    assert [(exemplar.right, len(exemplar.shortlist)) for exemplar in found] == [(2, 3)]


# Choosing a recipe.


def test_a_recipe_carries_the_exemplars_of_its_cell(parent, host):
    for number in range(10):
        remember_exemplar(host, number, right=number % 3)
    for number, (count, size) in enumerate(GRID, start=1):
        recipe = choose_recipe(parent=parent, number=number)
        assert (len(recipe.messages), recipe.shortlist_size) == (2 * count, size)
        assert (recipe.base, recipe.system) == (parent.base, Recipe.from_json(parent.recipe).system)
    assert choose_recipe(parent=parent, number=len(GRID) + 1) == choose_recipe(parent=parent, number=1)


def test_a_recipe_holds_no_words_but_those_of_its_steps_and_the_prompt(parent, host):
    remember_exemplar(host, 1)
    recipe = choose_recipe(parent=parent, number=1)
    assert recipe.messages[0][1].startswith("Question: Question 1?")
    assert {role for role, _ in recipe.messages} == {"user", "assistant"}


def test_a_recipe_that_changes_nothing_is_refused(parent):
    with pytest.raises(GateRefused, match="changes nothing"):
        choose_recipe(parent=parent, number=1)


def test_with_nothing_to_learn_from_a_recipe_is_refused(parent, servers: Servers):
    taught = make_candidate(servers, parent)
    with pytest.raises(GateRefused, match="No verified success"):
        choose_recipe(parent=taught, number=1)


def test_a_recipe_that_was_judged_before_is_refused_and_named(parent, host, servers):
    remember_exemplar(host, 1)
    recipe = choose_recipe(parent=parent, number=1)
    register_tag(recipe=recipe, digest=recipe.materialise(servers), status="rejected", parent=parent)
    with pytest.raises(GateRefused, match=recipe.tag_name):
        choose_recipe(parent=parent, number=1)


def test_every_field_of_a_recipe_is_part_of_its_name(parent):
    recipe = Recipe.from_json(parent.recipe)
    changes = [
        {"base": "other"},
        {"system": "other"},
        {"messages": (("user", "x"),)},
        {"parameters": {"num_ctx": 8192}},
        {"shortlist_size": 9},
    ]
    names = {recipe.tag_name, *(replace(recipe, **change).tag_name for change in changes)}
    assert len(names) == len(changes) + 1
