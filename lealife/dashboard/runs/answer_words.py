"""How sure an answer is: the state that a run is shown with, and one sentence of what the state rests on."""

from __future__ import annotations

from training.agent.ranking import FIRST_SUPPORT
from training.models import Run

State = Run.AnswerState

# What a check that can tell a right answer from a wrong one has found, by its name in `Run.verifier`.
VERIFIED_BY = {
    "expected_url": "the expected page says so",
    "expected_text": "the expected words stand in it or in its quotes",
    "pattern": "it or its quotes match the expected pattern",
}
# The score of a quote that holds the question's words in quotation marks; every estimate is below it.
LITERAL = 1.0


def name_state(run: Run) -> str:
    """What stands for a run: how sure its answer is; of a failed run that was no question, that it failed.

    A training or evaluation run failed by its check, however near its closest text came.
    """
    is_shown = run.status == Run.Status.SUCCEEDED or run.lane in Run.QUESTION_LANES
    return run.answer_state if run.answer_state and is_shown else run.status


def describe_certainty(run: Run) -> str:
    """How sure the answer is, beginning with the state's word; empty when the run has no state."""
    match run.answer_state:
        case State.VERIFIED:
            found = [words for name, words in VERIFIED_BY.items() if name in run.verifier.split("+")]
            return f"Verified: {' and '.join(found) or 'a check found it right'}"
        case State.SUPPORTED:
            return f"Supported: {_describe_support(run.answer_score)}"
        case State.UNSURE:
            return "Unsure: closest text, not an answer"
        case State.NOT_FOUND:
            return "Not found: no page that was read says anything near it"
    return ""


def _describe_support(score: float | None) -> str:
    if score is None or score >= LITERAL:
        return "the words in quotation marks stand on the page"
    measured = f"{show_percent(FIRST_SUPPORT.precision)} of such answers were right where this was measured"
    return f"answers with {show_percent(score)} probability; {measured}"


def show_percent(share: float) -> str:
    """A share of 1 as a whole number of percent."""
    return f"{round(100 * share)} %"
