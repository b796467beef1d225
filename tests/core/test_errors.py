"""What a run says of an error that nobody foresaw."""

from __future__ import annotations

import pytest
from django.db import DataError, IntegrityError

from lealife.core.errors import describe_breakage

SQL = 'integer out of range\nCONTEXT: SQL statement "UPDATE training_run SET completion_tokens = 1099511627776"'


@pytest.mark.parametrize("error", [DataError(SQL), IntegrityError(SQL)])
def test_no_sql_reaches_a_run(error: Exception) -> None:
    said = describe_breakage(error)
    assert "UPDATE" not in said and "training_run" not in said
    assert type(error).__name__ in said


def test_no_password_reaches_a_run_and_no_flood() -> None:
    said = describe_breakage(RuntimeError("http://ada:secret@a:1 failed " + "x" * 9_000))
    assert said.startswith("RuntimeError: http://a:1 failed")
    assert len(said) == 500
