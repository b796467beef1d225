"""Sharing: both arms of a pair ask each question of a model once, where the model server repeats itself.

Arms often say the same to the same tag: a candidate that asks the controller less often still has the other role's
model write from the same passages. The reply is then the same too, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lealife.core.digest import digest_value
from promotion.evaluation.arms import ArmTools
from training.agent.embedding import remember_vectors
from training.agent.model import Model, Reply


class SharedModel:
    """A model that is asked each question once. An error is no reply: it is raised, and the next arm asks again."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._replies: dict[str, Reply] = {}

    def chat(
        self, *, tag: str, messages: Sequence[dict[str, str]], schema: dict[str, Any] | None, **options: Any
    ) -> Reply:
        """See Model."""
        key = digest_value([tag, list(messages), schema, options])
        if key not in self._replies:
            self._replies[key] = self._model.chat(tag=tag, messages=messages, schema=schema, **options)
        return self._replies[key]


def share_replies(tools: ArmTools, *, repeats_differed: int | None) -> ArmTools:
    """The tools for both arms of one pair; unchanged unless the server is known to repeat itself."""
    if repeats_differed != 0:
        return tools
    embed = remember_vectors(tools.embed) if tools.embed is not None else None
    return replace(tools, model=SharedModel(tools.model), embed=embed)
