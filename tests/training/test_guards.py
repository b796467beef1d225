"""Evidence is kept by the database itself: against UPDATE, DELETE and TRUNCATE by any user."""

from __future__ import annotations

import pgtrigger
import pytest
from django.db import IntegrityError, connection, transaction

from lealife.core.triggers import Trigger
from tests.factories import START, begin_claimed, finish, make_outcome, make_source, make_step
from training.models import Run, Step
from training.runs import fail_lapsed_runs, queue_run, record_step

# Each trigger that keeps rows, by its name in `Meta.triggers`.
KEEPERS = ("append_only", "kept", "ended")
APPEND_ONLY = {
    *("training_outcomes", "training_outcome_seals", "training_chain_anchors", "training_runtimesettingschange"),
    *("training_auditentry", "training_operatorverdict", "run_learning_outcomes", "learning_memoryevidence"),
    *("promotion_evaluationtask", "promotion_evaluationarm", "promotion_evaluationpair", "promotion_frozenpage"),
    *("promotion_liveapply", "promotion_watchedrun", "promotion_reservepair"),
}
DECIDED = {"promotion_evaluation", "promotion_canary", "promotion_watch", "promotion_reservemeasurement"}
ENDED = {"training_run", "training_step", "training_trainingcycle"}


def read_guarded(*triggers: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname ~ ('^pgtrigger_(' || %s || ')_[0-9a-f]{5}$')",
            ["|".join(triggers)],
        )
        return {name for (name,) in cursor.fetchall()}


def refuse(sql: str, *values: object) -> str:
    """What the database says; fails when it does not refuse."""
    with pytest.raises(IntegrityError) as refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)
    return str(refused.value)


def test_every_table_of_evidence_is_guarded(db):
    assert read_guarded(*KEEPERS) == APPEND_ONLY | DECIDED | ENDED


@pytest.mark.parametrize("table", sorted(APPEND_ONLY | DECIDED | ENDED))
def test_truncate_of_evidence_is_refused(db, table):
    assert "append-only" in refuse(f"TRUNCATE {table} CASCADE")


def test_every_trigger_is_of_the_kind_that_no_setting_switches_off():
    assert [trigger.name for _, trigger in pgtrigger.registered() if not isinstance(trigger, Trigger)] == []


def test_a_session_that_ignores_triggers_is_refused_as_well(host):
    outcome = make_outcome(host)
    with connection.cursor() as cursor:
        cursor.execute("SELECT array_agg(tgname) FROM pg_trigger WHERE NOT tgisinternal")
        (names,) = cursor.fetchone()
        cursor.execute("SELECT set_config('pgtrigger.ignore', %s, true)", ["{" + ",".join(names) + "}"])
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # TRUNCATE waits for no check.
    assert "append-only" in refuse("DELETE FROM training_outcomes WHERE id = %s", outcome.pk)
    assert "append-only" in refuse("TRUNCATE training_outcomes CASCADE")
    assert "is evidence" in refuse("UPDATE training_run SET answer = 'forged' WHERE id = %s", outcome.run_id)


def test_a_new_guarded_table_is_guarded_against_truncate_too(db):
    assert read_guarded("no_truncate") == read_guarded(*KEEPERS)


@pytest.mark.parametrize("success", [True, False])
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE training_run SET answer = 'forged' WHERE id = %s",
        "UPDATE training_run SET status = 'running' WHERE id = %s",
        "UPDATE training_run SET served_controller_digest = 'forged' WHERE id = %s",
        "DELETE FROM training_run WHERE id = %s",
        "UPDATE training_step SET url = 'http://elsewhere/' WHERE run_id = %s",
        "DELETE FROM training_step WHERE run_id = %s",
        "UPDATE training_trainingcycle SET error = 'forged' WHERE run_id = %s",
    ],
)
def test_a_run_that_has_ended_its_steps_and_its_cycle_stay_as_they_are(host, sql, success):
    outcome = make_outcome(host, steps=[make_step(url=host.base_url)], success=success)
    assert "is evidence: what has ended is never changed" in refuse(sql, outcome.run_id)


def test_a_cancelled_run_stays_cancelled(host):
    run = queue_run(lane="standard", prompt="Which?", host=host, check_spec=None, pages_target=None, by="ada")
    Run.objects.filter(pk=run.pk).update(status=Run.Status.CANCELLED)
    assert "is evidence" in refuse("UPDATE training_run SET status = 'queued' WHERE id = %s", run.pk)


def test_a_run_in_progress_and_its_steps_may_change(host):
    make_source(host)
    run = begin_claimed()
    record_step(run_id=run.pk, fence=run.fence, step=make_step(url=host.base_url), now=START)
    Step.objects.filter(run=run).update(title="Another")
    Run.objects.filter(pk=run.pk).update(pages=1)
    assert finish(run).status == Run.Status.SUCCEEDED


def test_a_standard_run_that_lost_its_worker_is_queued_again_without_its_steps(host):
    from training.runs import begin_run, claim_queued_run

    queue_run(lane="standard", prompt="Which?", host=host, check_spec=None, pages_target=None, by="ada")
    run = Run.objects.select_related("host").get(pk=claim_queued_run(now=START))
    run = begin_run(run=run, worker="worker", now=START)
    record_step(run_id=run.pk, fence=run.fence, step=make_step(url=host.base_url), now=START)
    assert fail_lapsed_runs(now=START.replace(hour=1)) == 1
    assert not Step.objects.filter(run=run).exists()
