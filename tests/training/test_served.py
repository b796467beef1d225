"""What another digest than the promised one has served is no success, moves no window and spends no budget."""

from __future__ import annotations

import pytest

from promotion.candidates.windows import read_window
from tests.factories import START, begin_claimed, make_source
from training.agent.errors import ErrorCode
from training.models import Run, TrainingOutcome, TrainingSource
from training.results import Result, judge_served
from training.runs import finish_run

PROMISED = ("sha256:c", "sha256:t")


def judge(controller: str, task: str, *, code: str = "") -> Result:
    result = Result(success=not code, error_code=code, verifier="expected_text")
    return judge_served(result, promised=PROMISED, served=(controller, task))


@pytest.mark.parametrize("served", [PROMISED, ("", ""), ("sha256:c", ""), ("", "sha256:t")])
def test_what_the_promised_digests_served_or_no_model_stays_a_success(served):
    assert judge(*served).success


@pytest.mark.parametrize("served", [("sha256:x", "sha256:t"), ("sha256:c", "sha256:x"), ("mixed", ""), ("", "missing")])
def test_another_digest_in_either_role_is_its_own_failure(served):
    result = judge(*served)
    assert (result.success, result.error_code, result.verifier) == (False, "served_other_digest", "")
    assert "was served by" in result.error


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        ("no_route", "served_other_digest"),
        ("verification_failed", "served_other_digest"),
        ("model_unavailable", "model_unavailable"),
        ("cancelled", "cancelled"),
    ],
)
def test_a_failure_that_another_model_brought_about_is_named_after_it(code, kept):
    assert judge("sha256:x", "", code=code).error_code == kept


def test_nothing_is_judged_where_nothing_was_promised():
    assert judge_served(Result(success=True), promised=("", ""), served=("sha256:x", "")).success


@pytest.mark.parametrize("served", ["sha256:other", "mixed"])
def test_a_training_run_that_another_digest_served_counts_nowhere_and_waits_unblamed(host, served):
    source = make_source(host)
    run = begin_claimed()
    Run.objects.filter(pk=run.pk).update(controller_digest=PROMISED[0], task_digest=PROMISED[1])
    before = read_window().in_window
    finish_run(
        run_id=run.pk,
        fence=run.fence,
        result=Result(success=True, verifier="expected_text"),
        served_controller=served,
        served_task="sha256:t",
        now=START,
    )
    outcome = TrainingOutcome.objects.get()
    assert (outcome.success, outcome.error_code) == (False, ErrorCode.SERVED_OTHER_DIGEST)
    assert Run.objects.get(pk=run.pk).status == Run.Status.FAILED
    assert read_window().in_window == before
    source.refresh_from_db()
    assert (source.status, source.failed_attempts) == (TrainingSource.Status.PENDING, 0)
