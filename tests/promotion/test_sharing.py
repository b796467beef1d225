"""Sharing: what both arms ask alike is asked once, where the model server repeats itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from promotion.evaluation.repeatability import SharedModel, share_replies
from tests.promotion.scenes import Picker, Servers, make_tools
from training.agent.errors import AgentError, ErrorCode

ASK = {"messages": [{"role": "user", "content": "What is passage a?"}], "schema": None, "max_tokens": 80, "seed": 0}


def test_the_same_question_of_the_same_tag_is_asked_once() -> None:
    model = Picker()
    shared = SharedModel(model)
    first = shared.chat(tag="one", **ASK)
    assert shared.chat(tag="one", **ASK) == first
    shared.chat(tag="two", **ASK)
    shared.chat(tag="one", **{**ASK, "seed": 1})
    shared.chat(tag="one", **{**ASK, "messages": [{"role": "user", "content": "What is passage b?"}]})
    assert model.asked == ["one", "two", "one", "one"]


def test_an_error_is_asked_again() -> None:
    def fail_first(number: int) -> None:
        if number == 1:
            raise AgentError(ErrorCode.MODEL_UNAVAILABLE, "gone")

    shared = SharedModel(Picker(at_call=fail_first))
    with pytest.raises(AgentError):
        shared.chat(tag="one", **ASK)
    assert shared.chat(tag="one", **ASK).text


@pytest.mark.parametrize("differed", [None, 1])
def test_where_the_server_does_not_repeat_itself_each_arm_asks(differed: int | None) -> None:
    tools = make_tools(Servers(), Picker())
    assert share_replies(tools, repeats_differed=differed) is tools


def test_vectors_are_made_once_too() -> None:
    sent: list[str] = []

    def embed(texts):
        sent.extend(texts)
        return [[float(len(text))] for text in texts]

    shared = share_replies(replace(make_tools(Servers(), Picker()), embed=embed), repeats_differed=0)
    assert shared.embed is not None
    assert shared.embed(["a", "bb"]) == [[1.0], [2.0]]
    assert shared.embed(["bb"]) == [[2.0]]
    assert sent == ["a", "bb"]
