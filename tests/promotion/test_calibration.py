"""How often answers were right here, by how likely they were said to be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from promotion import calibration
from promotion.calibration import Calibrated, read_calibration, read_measured
from promotion.models import ModelTag
from promotion.recipes import Recipe
from promotion.tags import register_tag
from tests.promotion.scenes import Servers, make_base_tags
from training.agent.ranking import FIRST_SUPPORT, FIRST_WEIGHTS
from training.models import Host, OperatorVerdict, Run

TELLING = {"expected_text": "late winter"}
Tags = tuple[ModelTag, ModelTag]


@pytest.fixture
def tags(host: Host, servers: Servers) -> Tags:
    return make_base_tags(servers)


def make_run(tags: Tags, **changes: Any) -> Run:
    values = {"lane": "standard", "status": "succeeded", "answer_score": 0.8, "check_spec": TELLING, "prompt": "When?"}
    served = {"controller_tag": tags[0].name, "task_tag": tags[1].name}
    return Run.objects.create(
        **{"host": Host.objects.get(), "pages_target": 1, "max_calls": 1, **served, **values, **changes}
    )


def read() -> list[tuple[float, bool]]:
    return sorted(read_measured(weights=FIRST_WEIGHTS, support=FIRST_SUPPORT))


def test_answers_are_right_by_their_check_or_by_a_persons_last_verdict(tags: Tags):
    make_run(tags, answer_score=0.9)
    make_run(tags, answer_score=0.7, status="failed", verifier="expected_text")
    make_run(tags, answer_score=0.6, check_spec={"pattern": "x"}, status="failed", verifier="pattern")
    unchecked = make_run(tags, answer_score=0.5, check_spec={})
    assert read() == [(0.6, False), (0.7, False), (0.9, True)]
    judged = make_run(tags, answer_score=0.3)
    for run, right in ((unchecked, False), (unchecked, True), (judged, False)):
        OperatorVerdict.objects.create(run=run, right=right, by="ada", origin="page")
    assert read() == [(0.3, False), (0.5, True), (0.6, False), (0.7, False), (0.9, True)]


@pytest.mark.parametrize(
    "changes",
    [
        {"answer_score": 1.0},  # quoted words were found
        {"answer_score": None},
        {"check_spec": {"expected_urls": ["http://a/"], **TELLING}},  # the check chose what was quoted
        {"check_spec": {"json_schema": {"type": "object"}}},
        {"lane": "evaluation"},
        {"status": "failed", "verifier": "min_pages"},
        {"task_tag": "another"},
        {"controller_tag": "another"},
    ],
)
def test_what_says_nothing_of_the_score_is_left_out(tags: Tags, changes: dict[str, Any]):
    make_run(tags, **changes)
    assert read() == []


def test_tags_that_score_alike_are_counted_together_and_others_are_not(tags: Tags, servers: Servers):
    controller, task = tags
    support = replace(FIRST_SUPPORT, threshold=0.5, measured_on="here")
    for changes in ({"support": support}, {"support": replace(support, score=3.0)}):
        recipe = replace(Recipe.from_json(task.recipe), **changes)
        other = register_tag(recipe=recipe, digest=recipe.digest, status="unused", parent=task)
        make_run((controller, other), answer_score=0.6)
    assert read() == [(0.6, True)]
    lower = ModelTag.objects.get(recipe__support__contains={"threshold": 0.5, "score": FIRST_SUPPORT.score})
    assert read_calibration(controller=controller, task=task) == Calibrated(0.63, 0, 0)
    assert read_calibration(controller=controller, task=lower) == Calibrated(0.5, 1, 1)


def test_tags_whose_recipes_do_not_name_a_value_score_by_the_first_one(tags: Tags):
    make_run(tags)
    bm25 = replace(FIRST_WEIGHTS, bm25=9.0)
    for part, name in (("weights", "bm25"), ("support", "lead")):
        tag = next(tag for tag in tags if part in tag.recipe)
        for recipe in (
            {**tag.recipe, part: {key: value for key, value in tag.recipe[part].items() if key != name}},
            {key: value for key, value in tag.recipe.items() if key != part},
        ):
            ModelTag.objects.filter(pk=tag.pk).update(recipe=recipe)
            assert read() == [(0.8, True)]
            assert read_measured(weights=bm25, support=FIRST_SUPPORT) == []


def test_a_long_history_costs_no_more(tags: Tags, monkeypatch: pytest.MonkeyPatch):
    runs = [make_run(tags) for _ in range(3)]
    run = runs[0]
    plain = [replace_run(run, check_spec={"expected_urls": ["http://a/"]}) for _ in range(3_000)]
    Run.objects.bulk_create(plain)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE training_run")
    with CaptureQueriesContext(connection) as captured:
        assert len(read()) == 3
    assert len(captured) == 1
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {captured[0]['sql']}")
        assert "run_checked" in "\n".join(line for (line,) in cursor.fetchall())
    monkeypatch.setattr(calibration, "NEWEST", 2)
    assert len(read()) == 2


def replace_run(run: Run, **changes: Any) -> Run:
    values = {field.name: getattr(run, field.name) for field in Run._meta.concrete_fields if field.name != "id"}
    return Run(**{**values, **changes})
