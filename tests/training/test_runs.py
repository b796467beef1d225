"""Runs: every write carries the fence, and a finish is written once."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection

from lealife.core.announce import open_connection
from lealife.core.errors import InvalidInput, NotFound, StaleClaim
from tests.factories import (
    START,
    begin_claimed,
    finish,
    later,
    make_curriculum_source,
    make_host,
    make_html,
    make_source,
    make_step,
    queue_standard,
)
from training.agent.brain import Brain, Recalled
from training.claims import LEASE, claim_next_source
from training.models import PageSnapshot, Run, Step, TrainingOutcome
from training.runs import (
    begin_next_run,
    begin_run,
    claim_queued_run,
    finish_run,
    queue_run,
    record_brain,
    record_step,
    renew_lease,
)


def test_beginning_a_run_takes_it_for_one_worker(run):
    assert (run.status, run.claimed_by, run.fence, run.started_at) == ("running", "worker", 2, START)


def test_beginning_without_a_claimed_run_is_none(host):
    assert begin_next_run(worker="w", now=START) is None


def test_a_run_is_begun_once(host):
    make_source(host)
    claimed = Run.objects.get(pk=claim_next_source(now=START).run_id)
    begin_run(run=claimed, worker="one", now=START)
    stale = Run(pk=claimed.pk, fence=1)
    with pytest.raises(StaleClaim, match="taken by another worker"):
        begin_run(run=stale, worker="two", now=START)
    assert begin_next_run(worker="two", now=START) is None


def test_workers_that_race_begin_a_run_once(race, settle):
    make_source(make_host())
    claim = claim_next_source(now=START)
    begun = race(*[lambda name=name: begin_next_run(worker=name, now=START) for name in "abcd"])
    assert [run.pk for run in begun if run] == [claim.run_id]


def test_renewing_moves_the_lease(run):
    renew_lease(run_id=run.pk, fence=run.fence, now=later(seconds=20))
    run.refresh_from_db()
    assert run.lease_until == later(seconds=20) + LEASE


def test_a_step_stores_its_page_and_renews_the_lease(run):
    body = make_html("Queues", "All about queues.")
    record_step(run_id=run.pk, fence=run.fence, step=make_step(url="http://x/", body=body), now=later(seconds=9))
    step = Step.objects.get(run=run)
    assert step.snapshot.body == body
    run.refresh_from_db()
    assert run.lease_until == later(seconds=9) + LEASE


def test_a_page_seen_twice_is_kept_once(run):
    for index in range(2):
        step = make_step(url=f"http://x/{index}", body=b"<p>same</p>", index=index)
        record_step(run_id=run.pk, fence=run.fence, step=step, now=START)
    assert PageSnapshot.objects.count() == 1


def test_a_step_without_a_body_keeps_no_page(run):
    record_step(run_id=run.pk, fence=run.fence, step=make_step(url="http://x/", error_code="timeout"), now=START)
    assert Step.objects.get().snapshot is None


def test_the_brain_is_written_down_without_the_pages_that_are_only_ruled_out(run):
    memories = tuple(Recalled(pk, kind, "http://x/", "t", "x", 1.0) for pk, kind in ((1, "page"), (2, "ruled_out")))
    brain = Brain("c:1", "sha256:c", "t:1", "sha256:t", memories=memories)
    record_brain(run_id=run.pk, fence=run.fence, brain=brain, withheld=[9])
    run.refresh_from_db()
    assert ([item["id"] for item in run.memories], run.memory_withheld) == ([1], [9])
    assert run.memories[0]["is_passage"] is False
    assert (run.controller_tag, run.task_digest) == ("c:1", "sha256:t")


def test_a_success_leaves_one_outcome_and_a_source_that_is_done(run):
    finished = finish(run, answer="Here.", verifier="quotes", pages=2, controller_calls=1, memory_used=(4,))
    outcome = TrainingOutcome.objects.get()
    assert (finished.status, outcome.success, outcome.verifier) == ("succeeded", True, "quotes")
    assert (outcome.pages, outcome.controller_calls, outcome.memory_used) == (2, 1, [4])
    assert (outcome.served_controller_digest, outcome.served_task_digest) == ("sha256:c", "sha256:t")
    assert (outcome.source.status, outcome.cycle.status) == ("done", "succeeded")


def test_a_failure_sends_the_source_back_to_rest_and_wait(run):
    finish(run, success=False, error_code="no_route", now=START)
    source = TrainingOutcome.objects.get().source
    assert (source.status, source.failed_attempts, source.not_before) == ("pending", 1, later(seconds=10))
    assert source.status_reason == "Attempt 1 failed with no_route."


def test_a_failed_curriculum_task_rests_longer(host):
    make_curriculum_source(host)
    finish(begin_claimed(), success=False)
    assert TrainingOutcome.objects.get().source.not_before == later(minutes=5)


def test_a_source_is_disabled_when_its_retry_budget_is_spent(host, settle):
    settle(retry_budget=2)
    make_source(host)
    for minute in range(2):
        finish(begin_claimed(now=later(minutes=minute)), success=False, now=later(minutes=minute))
    source = TrainingOutcome.objects.first().source
    assert (source.status, source.failed_attempts) == ("disabled", 2)
    assert source.status_reason == "Retry budget spent: 2 failed attempts, the last with no_route."
    assert TrainingOutcome.objects.count() == 2


def test_a_source_cancelled_while_it_ran_stays_cancelled(run):
    source = run.cycle.source
    type(source).objects.filter(pk=source.pk).update(status="cancelled")
    finish(run, success=False)
    source.refresh_from_db()
    assert (source.status, source.failed_attempts) == ("cancelled", 0)


def test_a_question_waits_while_its_host_is_archived(host):
    queue_standard(host)
    type(host).objects.update(enabled=False)
    assert claim_queued_run(now=START) is None
    type(host).objects.update(enabled=True)
    assert claim_queued_run(now=START) is not None


def test_a_standard_run_leaves_no_outcome(host):
    queue_standard(host)
    claim_queued_run(now=START)
    finish(begin_next_run(worker="w", now=START))
    assert not TrainingOutcome.objects.exists()


@pytest.mark.parametrize("prompt", ["", " \x00 ", "x" * 20_001])
def test_a_run_with_an_unusable_prompt_is_refused(host, prompt):
    with pytest.raises(InvalidInput):
        queue_run(lane="standard", prompt=prompt, host=host, check_spec=None, pages_target=None, by="ada")


def test_a_run_on_an_unknown_host_is_refused(host):
    with pytest.raises(NotFound):
        queue_standard("https://nowhere.example/")


def test_finishing_a_run_that_does_not_exist_is_refused(db):
    with pytest.raises(StaleClaim):
        finish_run(run_id=999, fence=1, result=_result(), served_controller="", served_task="", now=START)


def _result():
    from training.runs import Result

    return Result(success=True)


@pytest.mark.parametrize("answer", ["ends \x00 here", "half \ud83d a pair", "back\\slash \\u0000", "whole \U0001f600"])
def test_an_answer_that_postgres_cannot_hold_is_finished_all_the_same(host, answer):
    make_source(host)
    finished = finish(begin_claimed(), answer=answer, quotes=({"text": answer, "url": "http://h/", "digest": ""},))
    assert finished.status == "succeeded"
    assert "\x00" not in finished.answer
    if answer.isprintable() and not any("\ud800" <= each <= "\udfff" for each in answer):
        assert finished.answer == finished.quotes[0]["text"] == answer


@pytest.mark.parametrize(("sent", "kept"), [(2**40, 2**31 - 1), (-1, 0), (7, 7)])
@pytest.mark.parametrize("success", [True, False])
def test_a_count_that_no_column_holds_loses_no_result(host, sent, kept, success):
    make_source(host)
    finished = finish(begin_claimed(), success=success, prompt_tokens=sent, completion_tokens=sent, invalid_picks=sent)
    assert finished.status == ("succeeded" if success else "failed")
    assert (finished.prompt_tokens, finished.completion_tokens, finished.invalid_picks) == (
        kept, kept, min(kept, 32_767),
    )  # fmt: skip


def test_a_finish_on_a_connection_that_was_cut_fails_as_the_database_errors_of_django(transactional_db, silent, host):
    make_source(host)
    run = begin_claimed()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    with open_connection() as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
    with pytest.raises(OperationalError):
        finish(run)
    connection.close()
    assert finish(run).status == "succeeded"
