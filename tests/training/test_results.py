"""What a run's row keeps of what the agent did."""

from __future__ import annotations

from training.agent.trajectory import Quote, Trajectory
from training.results import Result


def test_a_quote_is_kept_with_its_heading_and_the_words_that_answer() -> None:
    text, highlight = "Above.\nA queue is a line.", "A queue is a line."
    quote = Quote(text, "http://h/", "d", heading="Lines › Queues", highlight=highlight)
    trajectory = Trajectory(
        steps=(),
        answer="A line.",
        quotes=(quote,),
        success=True,
        error_code="",
        error="",
        verifier="supported",
        controller_calls=1,
        invalid_picks=0,
        pages=1,
        prompt_tokens=0,
        cached_tokens=0,
        completion_tokens=0,
        memory_ids=(),
        duration_ms=1,
        controller_digests=(),
        task_digests=(),
    )
    assert Result.from_trajectory(trajectory).quotes == (
        {
            "text": text,
            "url": "http://h/",
            "digest": "d",
            "heading": "Lines › Queues",
            "highlight": highlight,
        },
    )
