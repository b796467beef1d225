"""Success checks: what is accepted, and the way to JSON and back."""

from __future__ import annotations

from typing import Any

import pytest

from training.agent.task import SuccessCheck

FULL = {
    "expected_urls": ["http://site.example/roses.html"],
    "expected_text": "late winter",
    "pattern": r"\d+ roses",
    "json_schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
    "min_pages": 2,
}


def test_a_check_survives_its_json() -> None:
    check = SuccessCheck.from_json(FULL)
    assert check.to_json() == FULL
    assert SuccessCheck.from_json(check.to_json()) == check
    assert not check.checks_nothing


def test_nothing_or_a_shape_alone_checks_nothing() -> None:
    assert SuccessCheck.from_json({}).checks_nothing
    assert SuccessCheck.from_json({"json_schema": {"type": "object"}}).checks_nothing
    assert not SuccessCheck.from_json({"json_schema": {"type": "object"}, "min_pages": 2}).checks_nothing
    assert SuccessCheck().to_json() == {}


@pytest.mark.parametrize(
    "data",
    [
        [],
        {"expected_url": "x"},
        {"expected_urls": "http://site.example/"},
        {"expected_urls": [1]},
        {"expected_text": 7},
        {"expected_text": "x" * 2001},
        {"pattern": "("},
        {"pattern": "x" * 501},
        {"pattern": ["x"]},
        {"json_schema": [1]},
        {"json_schema": "object"},
        {"json_schema": {"minLength": 3}},
        {"json_schema": {"type": "text"}},
        {"json_schema": {"type": ["string"]}},
        {"json_schema": {"properties": []}},
        {"json_schema": {"items": 3}},
        {"json_schema": {"enum": "ab"}},
        {"min_pages": -1},
        {"min_pages": 10**30},
        {"min_pages": "2"},
        {"min_pages": True},
    ],
)
def test_an_unusable_check_is_a_value_error(data: Any) -> None:
    with pytest.raises(ValueError):
        SuccessCheck.from_json(data)


def test_a_schema_nested_without_end_is_refused() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(20):
        schema = {"items": schema}
    with pytest.raises(ValueError, match="nested"):
        SuccessCheck(json_schema=schema)
