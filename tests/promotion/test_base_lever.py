"""The levers *base* and *reading*: another model or another instruction, where runs fail by the work of the role."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lealife.core.errors import GateRefused
from promotion.candidates.building import plan_candidate, read_known
from promotion.candidates.levers import INSTRUCTIONS, propose_base, propose_changes, propose_reading
from promotion.models import ModelTag
from promotion.recipe_words import describe_change
from promotion.recipes import Recipe
from tests.guards import behind_guards
from tests.promotion.scenes import BASE, Servers, make_outcome
from tests.promotion.test_levers import Choosing, parent, teach
from training.models import Run

__all__ = ["parent"]


@pytest.fixture
def other_base(servers: Servers, settings) -> str:
    """Another base that is allowed and on the servers, as one is that is not."""
    settings.LEALIFE_BASES = ["absent:1b", BASE, "larger:1b"]
    servers.made["larger:1b"] = "sha256:larger"
    return "larger:1b"


def test_an_allowed_base_that_every_server_has_is_tried_with_all_else_as_it_was(parent, other_base, servers, host):
    assert propose_base(Recipe.from_json(parent.recipe), known=read_known(parent, server=servers)) == []
    teach(parent, host)
    [proposal] = propose_base(Recipe.from_json(parent.recipe), known=read_known(parent, server=servers))
    assert proposal.recipe == replace(Recipe.from_json(parent.recipe), base=other_base)
    servers.made["larger:1b"] = ""
    assert propose_base(Recipe.from_json(parent.recipe), known=read_known(parent, server=servers)) == []


def test_another_base_promises_what_failed_by_the_role(parent, other_base, servers, host):
    teach(parent, host)
    plan = plan_candidate(server=servers, model=Choosing(**{parent.name: 2}))
    tried = {
        each.lever
        for each in propose_changes(Recipe.from_json(parent.recipe), known=read_known(parent, server=servers))
    }
    assert plan.lever == "exemplars" and {"base", "exemplars"} <= tried
    # Once exemplars were tried, the base has the larger promise.
    ModelTag.objects.create(
        role="controller", name="lealife-controller:exemplars", digest="d", base=BASE, recipe=plan.recipe.to_json(),
        recipe_digest=plan.recipe.digest, parent=parent, status="rejected", lever="exemplars",
    )  # fmt: skip
    plan = plan_candidate(server=servers, model=Choosing(**{parent.name: 2}))
    assert (plan.lever, plan.recipe.base) == ("base", other_base)
    assert plan.why == (
        "45 of the last 48 training runs failed by the work of the controller, and larger:1b is another model that "
        "may do it."
    )
    assert (
        plan.foretold
        == f"Servers reload the model at each switch between the two tags: the base is {other_base} instead of {BASE}."
    )


def test_a_base_that_picks_alike_is_refused(parent, other_base, servers, host):
    teach(parent, host)
    with pytest.raises(GateRefused):
        plan_candidate(server=servers, model=Choosing())
    assert ModelTag.objects.get(lever="base").status == "rejected"


def test_a_value_that_only_the_quotes_say_is_what_a_better_writer_could_mend(parent, host, servers):
    task = ModelTag.objects.get(role="task")
    long = "So many words that no answer repeats them all as they stand here."
    for answer, text in (("It is 8 MB.", "8 MB"), ("That is told there.", "8 MB"), ("None.", "9 MB"), ("x", long)):
        run = make_outcome(host, success=True).run
        with behind_guards():
            Run.objects.filter(pk=run.pk).update(answer=answer, check_spec={"expected_text": text})
    assert (read_known(task).mendable, read_known(parent).mendable) == (2, 0)


def test_another_instruction_is_tried_where_answers_leave_out_what_was_asked(parent, host, servers):
    task = ModelTag.objects.get(role="task")
    recipe = Recipe.from_json(task.recipe)
    assert propose_reading(recipe, known=read_known(task)) == []
    run = make_outcome(host, success=True).run
    with behind_guards():
        Run.objects.filter(pk=run.pk).update(answer="That is told there.", check_spec={"expected_text": "8 MB"})
    proposals = propose_reading(recipe, known=read_known(task))
    assert [each.recipe for each in proposals] == [replace(recipe, system=text) for text in INSTRUCTIONS[1:]]
    assert (
        propose_reading(Recipe.from_json(ModelTag.objects.get(role="controller").recipe), known=read_known(task)) == []
    )
    plan = plan_candidate(server=servers)
    assert (plan.lever, plan.recipe.system, plan.parent) == ("reading", INSTRUCTIONS[1], task)
    assert describe_change(recipe, plan.recipe) == f"The model is instructed so: “{INSTRUCTIONS[1]}”"
