"""The ranker's weights and the support are part of a tag's recipe, and every run gets those of its own tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import pytest
from django.db import connection
from django.utils import timezone

from lealife.core.actors import command_line
from lealife.core.gateway import OllamaPool
from lealife.pipeline import stages
from learning.index.indexing import index_page
from learning.index.models import IndexedPassage
from learning.index.vectors import pack_vector
from learning.models import CurriculumTask
from promotion.candidates.preflight import read_effect
from promotion.evaluation import freezing
from promotion.evaluation.arms import ArmInputs, make_brain
from promotion.evaluation.comparison import arm_inputs
from promotion.evaluation.freezing import MAKING_S, freeze_inputs, prepare_vectors
from promotion.models import Evaluation, ModelTag
from promotion.recipes import Recipe, base_recipe
from promotion.steering import request_drill
from promotion.tags import register_tag, restore_tags
from tests.embedded.ollama_process import BASE as EMBEDDED_BASE
from tests.factories import START, make_html
from tests.promotion.scenes import BASE, Servers, change_settings, make_base_tags, make_tasks, make_window, open_trial
from training.agent.ranking import FIRST_SUPPORT, FIRST_WEIGHTS
from training.agent.reading.page import parse_page
from training.models import Host

BY_TITLE = replace(FIRST_WEIGHTS, title=9.0)
STRICT = replace(FIRST_SUPPORT, threshold=0.9, right=9, answers=9, measured_on="9 questions")
# One page has the words in its title, the other one says more of them in its text.
TITLED, TELLING = "Roses in winter", "Garden"
PAGES = {TITLED: "Nothing much happens there.", TELLING: "Roses are pruned in late winter, and roses are cut then."}
QUESTION = "Which roses are pruned in winter?"


def make_tag(servers: Servers, parent: ModelTag, **changes: object) -> ModelTag:
    recipe = replace(Recipe.from_json(parent.recipe), **changes)
    return register_tag(
        recipe=recipe, digest=recipe.materialise(servers), status=ModelTag.Status.CANDIDATE, parent=parent
    )


@pytest.fixture
def garden(host: Host) -> Host:
    """A host with two pages in its index, and a held-out natural question about them."""
    for title, text in PAGES.items():
        url = f"{host.base_url}{title.replace(' ', '-')}"
        page = parse_page(body=make_html(title, text), media_type="text/html", url=url, site=host.as_site())
        index_page(host_id=host.pk, url=url, page=page, snapshot_digest="", now=START)
    make_tasks(host, 12)
    CurriculumTask.objects.update(prompt=QUESTION)
    change_settings(evaluation_pairs=12, default_pages_target=1, controller_max_calls=1)
    return host


def test_a_first_tag_names_what_it_ranks_by_and_what_counts_as_supported(db, servers: Servers):
    controller, task = make_base_tags(servers)
    assert controller.recipe["weights"]["cosine"] == FIRST_WEIGHTS.cosine
    assert task.recipe["support"]["measured_on"] == FIRST_SUPPORT.measured_on
    assert "support" not in controller.recipe and "weights" not in task.recipe


def test_a_recipe_survives_its_row_with_its_weights_and_support():
    for recipe in (
        replace(base_recipe(role="controller", base=BASE), weights=BY_TITLE),
        replace(base_recipe(role="task", base=BASE), support=STRICT),
    ):
        assert Recipe.from_json(recipe.to_json()) == recipe


def test_other_weights_or_another_support_make_another_tag():
    controller, task = base_recipe(role="controller", base=BASE), base_recipe(role="task", base=BASE)
    for before, after in (
        (controller, replace(controller, weights=BY_TITLE)),
        (task, replace(task, support=STRICT)),
    ):
        assert after.digest != before.digest and after.tag_name != before.tag_name
        assert read_effect(after) != read_effect(before)


def test_every_field_of_a_recipe_is_part_of_its_name():
    recipe = base_recipe(role="controller", base=BASE)
    changes = [
        {"base": "other"},
        {"system": "other"},
        {"messages": (("user", "x"),)},
        {"parameters": {"num_ctx": 8192}},
        {"shortlist_size": 9},
        {"ask_below": 0.1},
    ]
    names = {recipe.tag_name, *(replace(recipe, **change).tag_name for change in changes)}
    assert len(names) == len(changes) + 1


def test_when_the_model_is_asked_is_part_of_the_recipe_and_of_what_an_arm_depends_on(db, servers: Servers):
    controller, task = make_base_tags(servers)
    seldom = make_tag(servers, controller, ask_below=0.12)
    assert "ask_below" not in controller.recipe
    recipe = Recipe.from_json(seldom.recipe)
    assert recipe.ask_below == make_brain(controller=seldom, task=task, memories=()).ask_below == 0.12
    assert read_effect(recipe) != read_effect(Recipe.from_json(controller.recipe))
    limits = {"prompt": "x", "check_spec": {}, "host_id": 1, "pages_target": 1, "max_calls": 1, "memories": ()}
    inputs = ArmInputs(**limits, controller=controller, task=task, freeze_id=1, seed=0, engine=())
    seldom.digest = controller.digest
    assert replace(inputs, controller=seldom).digest != inputs.digest


def test_recipes_that_a_server_could_not_tell_apart_get_digests_of_their_own(pool: OllamaPool):
    first = base_recipe(role="controller", base=EMBEDDED_BASE)
    digests = {
        each.materialise(pool) for each in (first, replace(first, weights=BY_TITLE), replace(first, ask_below=0.1))
    }
    assert len(digests) == 3
    assert first.materialise(pool) in digests


def test_where_a_support_was_measured_is_no_difference_that_a_run_can_show(db, servers: Servers):
    controller, task = make_base_tags(servers)
    support = replace(FIRST_SUPPORT, right=9, answers=9, measured_on="9 questions")
    other = make_tag(servers, task, support=support)
    assert read_effect(Recipe.from_json(other.recipe)) == read_effect(Recipe.from_json(task.recipe))
    limits = {"prompt": "x", "check_spec": {}, "host_id": 1, "pages_target": 1, "max_calls": 1, "memories": ()}
    inputs = ArmInputs(**limits, controller=controller, task=task, freeze_id=1, seed=0, engine=())
    other.digest = task.digest
    assert replace(inputs, task=other).digest == inputs.digest


@pytest.mark.parametrize(("role", "part"), [("controller", "weights"), ("task", "support")])
def test_a_recipe_stays_readable_when_a_value_comes_or_goes(db, servers: Servers, role: str, part: str):
    tag = next(tag for tag in make_base_tags(servers) if tag.role == role)
    read = Recipe.from_json(tag.recipe)
    stored = {name: value for name, value in tag.recipe[part].items() if name not in ("cosine", "threshold")}
    tag.recipe = {**tag.recipe, part: {**stored, "gone": 1.0}}
    tag.save(update_fields=["recipe"])
    assert Recipe.from_json(tag.recipe) == read
    # Whatever it reads as, it is made again under the name that its row has.
    ModelTag.objects.filter(pk=tag.pk).update(name=f"lealife-{role}:older")
    assert restore_tags(server=servers) == [f"lealife-{role}:older"]
    assert f"lealife-{role}:older" in servers.made


def test_a_recipe_without_them_means_the_first_ones_and_keeps_its_name(db, servers: Servers):
    older = {"role": "controller", "base": BASE, "system": "s", "messages": [], "parameters": {}, "shortlist_size": 5}
    recipe = Recipe.from_json(older)
    assert recipe.to_json() == {**older, "messages": ()}
    assert (recipe.used_weights, recipe.used_support) == (FIRST_WEIGHTS, FIRST_SUPPORT)
    assert read_effect(replace(recipe, weights=FIRST_WEIGHTS)) == read_effect(recipe)


def test_a_run_gets_the_weights_and_the_support_of_its_own_tags(db, servers: Servers):
    controller, task = make_base_tags(servers)
    by_title, strict = make_tag(servers, controller, weights=BY_TITLE), make_tag(servers, task, support=STRICT)
    brain = make_brain(controller=by_title, task=strict, memories=())
    assert (brain.weights, brain.support) == (BY_TITLE, STRICT)
    assert make_brain(controller=controller, task=task, memories=()).weights == FIRST_WEIGHTS


def test_each_arm_recalls_what_its_own_ranker_finds(garden: Host, servers: Servers):
    controller, _ = make_base_tags(servers)
    evaluation = open_trial(make_tag(servers, controller, weights=BY_TITLE))
    task = evaluation.tasks.first()
    arms = {tag.pk: arm_inputs(evaluation, task, tag=tag) for tag in (evaluation.candidate, evaluation.baseline)}
    candidate, baseline = arms[evaluation.candidate_id], arms[evaluation.baseline_id]
    assert [inputs.memories[0]["title"] for inputs in (candidate, baseline)] == [TITLED, TELLING]
    assert (candidate.brain().weights, baseline.brain().weights) == (BY_TITLE, FIRST_WEIGHTS)
    assert replace(candidate, memories=()).digest != replace(baseline, memories=()).digest
    # The next candidate finds the baseline's arms again: they depend on its memory alone.
    assert evaluation.freeze.memory_digest
    assert arm_inputs(evaluation, task, tag=evaluation.candidate, memory=False).memories == ()


def test_arms_that_rank_alike_share_what_is_recalled(garden: Host, servers: Servers):
    _, task_tag = make_base_tags(servers)
    evaluation = open_trial(make_tag(servers, task_tag, support=STRICT))
    task = evaluation.tasks.first()
    assert task.candidate_memories is None
    candidate, baseline = (arm_inputs(evaluation, task, tag=tag) for tag in (evaluation.candidate, evaluation.baseline))
    assert candidate.memories == baseline.memories != ()
    assert candidate.brain().support.threshold == STRICT.threshold


@pytest.mark.django_db(transaction=True)
def test_a_candidate_is_judged_on_what_real_runs_recall_by_words_and_meaning(
    garden: Host, servers: Servers, monkeypatch: pytest.MonkeyPatch
):
    vectors = {TITLED: (1.0, 0.0), TELLING: (0.0, 1.0)}
    for passage in IndexedPassage.objects.select_related("page"):
        IndexedPassage.objects.filter(pk=passage.pk).update(vector=pack_vector(vectors[passage.page.title]))
    asked: list[str] = []
    noted: list[bool] = []

    def embed(texts: Sequence[str]) -> list[tuple[float, ...]]:
        assert not connection.in_atomic_block
        # Vectors of an earlier model are not compared with those of this one.
        assert len(noted) > len(asked)
        asked.extend(texts)
        return [(1.0, 0.0) for _ in texts]

    servers.made[BASE] = "b"
    monkeypatch.setattr(stages, "get_pool", lambda: servers)
    monkeypatch.setattr(stages, "embed_for_training", embed)
    monkeypatch.setattr(stages, "note_embedder", lambda: noted.append(connection.in_atomic_block))
    make_base_tags(servers)
    make_window("building")
    assert stages.STAGES["build"].work(timezone.now())
    request_drill(by=command_line("ada"), origin="tests")
    # One of the two drills is refused: no pick was right yet that could be made wrong.
    assert stages.STAGES["drill"].work(timezone.now()) and stages.STAGES["drill"].work(timezone.now())
    # Once per evaluation, though all its tasks ask the same.
    assert asked == [QUESTION] * 2
    assert not any(noted)
    assert Evaluation.every.count() == 2
    for evaluation in Evaluation.every.all():
        first, *_ = evaluation.tasks.first().memories
        assert (first["title"], first["cosine"]) == (TITLED, 1.0)


def test_without_a_model_for_vectors_an_evaluation_recalls_by_words(garden: Host, servers: Servers):
    controller, _ = make_base_tags(servers)
    first, *_ = freeze_inputs(candidate=Recipe.from_json(controller.recipe), embed=lambda texts: []).memories[0]
    assert (first["title"], first["cosine"]) == (TELLING, 0.0)


def test_vectors_of_passages_are_made_for_a_while_alone(monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr(freezing, "time", SimpleNamespace(monotonic=lambda: now[0]))
    ask = prepare_vectors(["Where?", "Who says “never again”?"], embed=lambda texts: [[1.0]] * len(texts))
    assert ask is not None
    now[0] = MAKING_S - 1
    assert ask(["a passage"]) == [[1.0]]
    now[0] = MAKING_S + 1
    # What was made stays known.
    assert (ask(["another"]), ask(["a passage"]), ask(["Where?"])) == ([], [[1.0]], [[1.0]])
    assert prepare_vectors(["Who says “never again”?"], embed=lambda texts: [[1.0]]) is None
