"""Answers are JSON that every client can read."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from lealife.api.rendering import render_json


def test_a_number_that_json_cannot_say_is_unknown() -> None:
    assert json.loads(render_json([float("nan"), float("inf"), None, True, 7])) == [None, None, None, True, 7]


def test_times_are_iso_8601_with_their_zone() -> None:
    assert render_json(datetime(2026, 1, 2, 3, tzinfo=UTC)) == b'"2026-01-02T03:00:00Z"'
