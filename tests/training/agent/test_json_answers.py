"""Answers that are written to a JSON schema: they stand in their quotes, and a shape proves nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.training.agent.journeys import run
from tests.training.agent.sites import ScriptedModel, StubSite, brain
from training.agent.answerer import write_answer
from training.agent.task import SuccessCheck
from training.agent.trajectory import Quote

SCHEMA = {"type": "object", "properties": {"when": {"type": "string"}}, "required": ["when"]}
SERVER = Quote(
    "The server listens on port 5433. Never use 5432 for two of them.", "u", "d",
    highlight="The server listens on port 5433.",
)  # fmt: skip


def test_a_json_answer_that_is_cut_off_twice_says_so(garden: StubSite) -> None:
    model = ScriptedModel(answer='{"when": "la', cut=True)
    trajectory = run(garden, model=model, changes={"check": SuccessCheck(json_schema=SCHEMA)})
    assert (trajectory.success, trajectory.error_code) == (False, "model_invalid")
    assert trajectory.error == "The JSON answer was cut off twice, after 10 tokens in all."
    first, second = [call["max_tokens"] for call in model.asked if call["tag"] == "writer"]
    assert second == 2 * first


def test_a_json_answer_is_asked_for_by_schema(garden: StubSite) -> None:
    model = ScriptedModel(answer='{"when": "late winter"}')
    trajectory = run(garden, model=model, changes={"check": SuccessCheck(json_schema=SCHEMA)})
    assert (trajectory.success, trajectory.verifier) == (True, "json_schema+supported")
    assert model.asked[-1]["schema"] == SCHEMA


def test_a_json_answer_with_an_invented_name_is_not_supported(garden: StubSite) -> None:
    model = ScriptedModel(answer='{"when": "rose_cut_9000"}')
    trajectory = run(garden, model=model, changes={"check": SuccessCheck(json_schema=SCHEMA)})
    assert (trajectory.success, trajectory.is_quoted) == (False, True)
    assert (trajectory.verifier, trajectory.answer_state) == ("json_schema", "unsure")
    assert trajectory.error == (
        "json_schema: The JSON answer came whole (5 tokens), but “rose_cut_9000” stands in none of its quotes."
    )


def test_a_shape_alone_makes_no_answer_verified_and_leaves_the_pages_target(garden: StubSite) -> None:
    model = ScriptedModel(answer='{"when": "late winter"}')
    trajectory = run(garden, model=model, changes={"check": SuccessCheck(json_schema=SCHEMA), "pages_target": 2})
    assert (trajectory.success, trajectory.answer_state, trajectory.pages) == (True, "supported", 2)
    assert trajectory.answer == '{"when": "late winter"}'


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ('{"port": 5433}', ""),
        ('{"port": 5434}', "“5434” stands in none of its quotes"),
        ('{"port": "port 5433", "name": ""}', "one of its texts is empty"),
        ('{"port": "never 5433"}', "“never 5433” and its best quote do not agree in yes and no"),
        ('{"name": "%s"}' % ("x" * 70), "“%s…” stands in none of its quotes" % ("x" * 59)),
    ],
)
def test_a_refused_json_answer_names_what_stands_in_none_of_its_quotes(said: str, fault: str) -> None:
    answer = write_answer(
        model=ScriptedModel(answer=said),
        brain=brain(),
        prompt="Which port?",
        quotes=[SERVER],
        schema={"type": "object"},
    )
    assert answer.refused == (f"The JSON answer came whole (5 tokens), but {fault}." if fault else "")
    assert answer.text == (SERVER.highlight if fault else said)


BACKUP = Quote("Copying is possible with sqlite3_backup_init().", "u", "d")
DENIED = Quote("Copying is not possible.", "u", "d")
OPEN = {"type": "object"}
POSSIBLE = {"type": "object", "properties": {"possible": {"enum": ["yes", "no"]}}}
NOTHING = "it says nothing that stands in its quotes"


@pytest.mark.parametrize(
    ("said", "schema", "quote", "fault"),
    [
        ("{}", OPEN, BACKUP, NOTHING),
        ('{"steps": []}', {"type": "object", "properties": {"steps": {"type": "array"}}}, BACKUP, NOTHING),
        ('{"possible": null}', POSSIBLE, BACKUP, NOTHING),
        ('{"kind": "book"}', {"properties": {"kind": {"enum": ["book", "copying"]}}}, BACKUP, NOTHING),
        ('{"kind": "copying"}', {"properties": {"kind": {"enum": ["book", "copying"]}}}, BACKUP, ""),
        ('{"possible": "no"}', POSSIBLE, BACKUP, "“no” and its best quote do not agree in yes and no"),
        ('{"possible": "no"}', POSSIBLE, DENIED, ""),
        ('{"possible": "yes"}', POSSIBLE, BACKUP, ""),
        ('{"possible": "yes"}', POSSIBLE, DENIED, "“yes” and its best quote do not agree in yes and no"),
        ('{"possible": false}', OPEN, BACKUP, "“false” and its best quote do not agree in yes and no"),
        ('{"possible": false}', OPEN, DENIED, ""),
        ('{"possible": true}', OPEN, DENIED, "“true” and its best quote do not agree in yes and no"),
        ('{"sqlite3_back_up": "copying"}', OPEN, BACKUP, "“sqlite3_back_up” stands in none of its quotes"),
        ('{"sqlite3_backup_init()": "copying"}', OPEN, BACKUP, ""),
        ('{"how": ["copying"]}', {"type": "object", "required": ["how"]}, BACKUP, ""),
        ("Copying.", OPEN, BACKUP, ""),
    ],
)
def test_every_part_of_a_json_answer_is_checked(said: str, schema: dict[str, Any], quote: Quote, fault: str) -> None:
    answer = write_answer(
        model=ScriptedModel(answer=said), brain=brain(), prompt="Can I copy?", quotes=[quote], schema=schema
    )
    assert answer.refused == (f"The JSON answer came whole (5 tokens), but {fault}." if fault else "")
    assert answer.is_quoted is bool(fault)
