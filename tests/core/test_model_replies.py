"""What a chat's document says, however odd it is."""

from __future__ import annotations

from typing import Any

import pytest

from lealife.core.model_replies import (
    NotAReply,
    can_end_at_brace,
    clamp_count,
    only_thought,
    read_reply,
    strip_thoughts,
)


def document(content: Any = "Yes.", **fields: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": content}, "done": True, "done_reason": "stop", **fields}


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("<think>Hm.</think>Yes.", "Yes."),
        ("<think>\nHm.\n</think>\n\nYes.", "Yes."),
        ("Hm, so it is.</think> Yes.", "Yes."),
        ("<THINK>a</THINK>Yes.<think>b</think>", "Yes."),
        ("Yes.<think>and", "Yes."),
        ("<think type='deep'>a</think >Yes.", "Yes."),
        ("<thought>a</thought><reasoning>b</reasoning>Yes.", "Yes."),
        ("<think>never closed", ""),
        ("Yes, I think.", "Yes, I think."),
    ],
)
def test_thoughts_never_reach_an_answer(said: str, left: str) -> None:
    assert strip_thoughts(said).strip() == left
    assert read_reply(document(said), ends_at_brace=False).text == left


def test_what_was_thought_apart_is_no_text() -> None:
    thought = document(message={"role": "assistant", "content": "", "thinking": "Hm."})
    assert read_reply(thought, ends_at_brace=False).text == ""
    assert only_thought(thought) and only_thought(document("<think>Hm."))
    assert not only_thought(document("")) and not only_thought(document("Yes."))


@pytest.mark.parametrize(
    ("sent", "count"),
    [(7, 7), (None, 0), (-1, 0), (2**40, 10_000_000), (1.9, 1), ("9", 0), (True, 0), (float("nan"), 0), ([], 0)],
)
def test_a_count_outside_its_range_costs_no_answer(sent: Any, count: int) -> None:
    assert clamp_count(sent) == count
    reply = read_reply(document(eval_count=sent, prompt_eval_count=sent, prompt_cached_count=sent), ends_at_brace=False)
    assert (reply.text, reply.completion_tokens, reply.prompt_tokens, reply.cached_tokens) == ("Yes.", *[count] * 3)


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        "Yes.",
        {},
        {"error": "gone"},
        document(error="runner crashed"),
        document(done=False),
        document(5),
        document("", done_reason="load"),
    ],
)
def test_half_an_answer_is_none(broken: Any) -> None:
    with pytest.raises(NotAReply):
        read_reply(broken, ends_at_brace=False)


def test_an_answer_that_ended_with_its_tokens_says_so() -> None:
    assert read_reply(document(done_reason="length"), ends_at_brace=False).cut
    assert not read_reply(document(), ends_at_brace=False).cut


def test_the_brace_that_stopped_an_answer_is_put_back() -> None:
    stopped = read_reply(document('{"pick": 2'), ends_at_brace=True)
    assert stopped.text == '{"pick": 2}'
    assert read_reply(document('{"pick": 2}\n '), ends_at_brace=True).text == '{"pick": 2}'
    assert read_reply(document('{"pick":', done_reason="length"), ends_at_brace=True).text == '{"pick":'
    assert read_reply(document(""), ends_at_brace=True).text == ""


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def test_only_flat_objects_without_free_text_end_at_their_first_brace() -> None:
    assert can_end_at_brace(schema(pick={"type": "integer", "enum": [1, 2]}, sure={"type": "boolean"}))
    assert can_end_at_brace(schema(pick={"enum": ["a", 2]}))
    for other in (
        None,
        {},
        schema(),
        schema(text={"type": "string"}),
        schema(pick={"enum": ["a}"]}),
        schema(inner=schema(pick={"type": "integer"})),
        schema(list={"type": "array"}),
        schema(pick={"type": ["integer", "string"]}),
        schema(pick=True),
    ):
        assert not can_end_at_brace(other)


def test_a_digest_without_end_is_cut() -> None:
    assert len(read_reply(document(digest="d" * 10_000), ends_at_brace=False).digest) == 80
