"""A wrong answer, corrected by a person: the question is asked again and answered from the right page."""

from __future__ import annotations

import pytest
from django.utils import timezone

from lealife.core.actors import command_line
from lealife.pipeline.launching import ask, launch_training
from lealife.pipeline.stages import drain
from lealife.run_actions import judge_run, repeat_run
from learning.curriculum.tasks import split_of
from learning.models import CurriculumTask
from tests.embedded.ollama_process import RunningOllama
from tests.training.agent.sites import Stub
from training.models import Host, Run, TrainingOutcome

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.model]

BY = {"by": command_line("ada"), "origin": "page"}
QUESTION = "When should roses be pruned in this garden?"
WRONG, RIGHT = "book", "almanac"


@pytest.fixture
def pages() -> dict[str, Stub | bytes]:
    """A site with a page that says what is asked in the question's words, and another that is right."""
    return {
        "/": b"""<title>The garden</title><p>Each corner has a page of its own.</p>
            <a href="/book">When roses should be pruned in a garden</a> <a href="/almanac">Calendar</a>""",
        "/book": b"""<title>An old book on roses</title><p>It says that roses should be pruned in the garden in May,
            when they are in bud.</p>""",
        "/almanac": b"""<title>Almanac</title><p>February: the roses are pruned before the sap rises.</p>
            <p>May: the lawn is mown every week.</p>""",
    }


def ask_and_run(host: Host) -> Run:
    return run(ask(prompt=QUESTION, host=host, check_spec=None, pages_target=None, by=command_line("ada")))


def run(queued: Run) -> Run:
    assert drain("execute") == 1
    return Run.objects.get(pk=queued.pk)


def read_path(host: Host, run: Run) -> list[str]:
    return [step.url.removeprefix(host.base_url) for step in run.steps.order_by("index")]


def test_a_corrected_question_is_answered_from_the_page_that_the_person_named(host: Host, ollama: RunningOllama):
    first = ask_and_run(host)
    assert first.quotes[0]["url"] == f"{host.base_url}{WRONG}"
    judge_run(run_id=first.pk, right=False, right_text="the roses are pruned before the sap rises",
              right_url=f"{host.base_url}{RIGHT}", **BY)  # fmt: skip
    again = run(repeat_run(run_id=first.pk, **BY))
    assert read_path(host, again)[:2] == ["", RIGHT]
    assert again.quotes[0]["url"] == f"{host.base_url}{RIGHT}"
    assert again.quotes[0]["highlight"] == "February: the roses are pruned before the sap rises."
    assert WRONG not in [quote["url"].removeprefix(host.base_url) for quote in again.quotes]


def test_an_answer_judged_wrong_does_not_come_again_where_no_one_knows_the_right_one(host: Host, ollama: RunningOllama):
    first = ask_and_run(host)
    judge_run(run_id=first.pk, right=False, **BY)
    again = run(repeat_run(run_id=first.pk, **BY))
    assert first.quotes[0]["text"] not in [quote["text"] for quote in again.quotes]
    assert not CurriculumTask.objects.cases().exists()


def test_training_on_a_case_finds_the_page_by_itself(host: Host, ollama: RunningOllama):
    first = ask_and_run(host)
    page = f"{host.base_url}{RIGHT}"
    assert split_of(page) == "train"
    judge_run(run_id=first.pk, right=False, right_url=page, **BY)
    assert launch_training(timezone.now()) == 1
    assert drain("execute") == 1
    outcome = TrainingOutcome.objects.get()
    assert (outcome.run.prompt, outcome.source.queued_from) == (QUESTION, "verdict")
    assert "named" not in {item["kind"] for item in outcome.run.memories}
    assert "misled" in {item["kind"] for item in outcome.run.memories}
