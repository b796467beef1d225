"""What a run is given of memory: recall, with the weights, the vectors and the verdicts that such a run gets."""

from __future__ import annotations

from lealife.pipeline.vectors import embed_for_training, embed_if_possible, note_embedder
from learning.recall import recall
from promotion.models import ModelTag
from promotion.recipes import Recipe
from training.agent.brain import MISLED, TOLD_KINDS, Recalled


def recall_for_run(*, host_id: int, prompt: str, controller: ModelTag, trains: bool) -> tuple[Recalled, ...]:
    """What a run with this controller is given; one that `trains` is not shown the answers that people named.

    It may ask a model server for vectors, so it is not called within a transaction.
    """
    note_embedder()
    return recall(
        host_id=host_id,
        prompt=prompt,
        weights=Recipe.from_json(controller.recipe).used_weights,
        embed=embed_for_training if trains else embed_if_possible,
        # The answer that a person named is for people: a run that trains has to find it.
        told={MISLED} if trains else TOLD_KINDS,
    )
