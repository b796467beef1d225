"""How sure an answer is: the state that a run is shown with, and one sentence of what the state rests on."""

from __future__ import annotations

from promotion.models import ModelTag
from promotion.recipe_words import describe_measured
from promotion.recipes import Recipe
from training.agent.ranking import FIRST_SUPPORT, Support
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


def read_run_support(run: Run) -> Support:
    """The support that decided whether the run's answer counts, by its own task tag; the first one without it."""
    tag = ModelTag.objects.filter(name=run.task_tag).first() if run.task_tag else None
    return Recipe.from_json(tag.recipe).used_support if tag else FIRST_SUPPORT


def describe_certainty(run: Run, *, support: Support) -> str:
    """How sure the answer is, beginning with the state's word; empty when the run has no state."""
    match run.answer_state:
        case State.VERIFIED:
            found = [words for name, words in VERIFIED_BY.items() if name in run.verifier.split("+")]
            return f"Verified: {' and '.join(found) or 'a check found it right'}"
        case State.SUPPORTED:
            return f"Supported: {_describe_support(run.answer_score, support)}"
        case State.UNSURE:
            return f"Unsure: closest text, not an answer{_describe_lack(run.answer_score, support)}"
        case State.NOT_FOUND:
            return "Not found: no page that was read says anything near it"
    return ""


def _describe_support(score: float | None, support: Support) -> str:
    if score is None or score >= LITERAL:
        return "the words in quotation marks stand on the page"
    needed = f"answers with {show_percent(score)} probability, {show_percent(support.threshold)} are needed"
    return f"{needed}; {describe_measured(support)}"


def _describe_lack(score: float | None, support: Support) -> str:
    if score is None or score >= support.threshold:
        return ""
    return f"; it answers with {show_percent(score)} probability, {show_percent(support.threshold)} are needed"


def show_percent(share: float) -> str:
    """A share of 1 as a whole number of percent."""
    return f"{round(100 * share)} %"
