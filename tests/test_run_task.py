"""What `manage.py run_task` prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management.base import CommandError

from lealife.management.commands.run_task import describe, read_schema
from tests.factories import make_host
from training.models import Run


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "state", "answer", "draft"),
    [("succeeded", "supported", "A line.", ""), ("failed", "unsure", "", "A line."), ("failed", "", "", "A line.")],
)
def test_the_command_prints_how_sure_the_answer_is_and_no_draft_as_an_answer(
    status: str, state: str, answer: str, draft: str
) -> None:
    quote = {"text": "A queue is a line.", "url": "http://127.0.0.1:9/", "digest": "d", "heading": "", "highlight": ""}
    run = Run.objects.create(
        lane="standard",
        status=status,
        host=make_host(),
        prompt="What is a queue?",
        pages_target=1,
        max_calls=5,
        answer="A line.",
        answer_state=state,
        answer_score=0.5,
        quotes=[quote],
    )
    printed = describe(run)
    assert (printed["answer"], printed["draft"], printed["answer_state"]) == (answer, draft, state)
    assert (printed["answer_score"], printed["is_quoted"], printed["quotes"]) == (0.5, False, [quote])


def test_a_schema_for_the_answer_is_given_as_it_is_or_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "port.json"
    file.write_text('{"type": "integer"}')
    assert read_schema(str(file)) == read_schema('{"type": "integer"}') == {"type": "integer"}
    assert read_schema("") is None
    for unreadable in ("{", str(tmp_path / "nothing.json")):
        with pytest.raises(CommandError, match="The answer schema cannot be read"):
            read_schema(unreadable)
