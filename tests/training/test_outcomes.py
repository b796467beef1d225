"""Outcomes: exactly one per cycle, added and never changed, counted without counting."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from lealife.core.actors import command_line
from tests.factories import START, begin_claimed, finish, later, make_host, make_outcome, make_source
from tests.guards import behind_guards
from training.campaigns import cancel_campaign, create_campaign
from training.counters import add_counts, read_counters
from training.models import AuditEntry, CounterSlot, OutcomeSeal, TrainingOutcome
from training.outcomes import close_cycle
from training.runtime_settings import apply_settings
from training.seals import seal_outcomes


def test_a_cycle_has_one_outcome_at_most(host):
    outcome = make_outcome(host)
    with pytest.raises(IntegrityError), transaction.atomic():
        close_cycle(run=outcome.run, now=START)
    assert TrainingOutcome.objects.count() == 1


@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}"])
@pytest.mark.parametrize(
    ("model", "column"),
    [(TrainingOutcome, "success"), (OutcomeSeal, "hash"), (AuditEntry, "actor")],
)
def test_evidence_refuses_to_be_changed(host, model, column, statement):
    make_outcome(host)
    seal_outcomes()
    apply_settings(changes={"retry_budget": 5}, version=None, by=command_line("ada"), origin="api")
    AuditEntry.objects.create(actor="ada", origin="api", action="look")
    with (
        pytest.raises(IntegrityError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format(model._meta.db_table, column, column))


def test_settings_changes_refuse_to_be_changed(db):
    apply_settings(changes={"retry_budget": 5}, version=None, by=command_line("ada"), origin="api")
    with (
        pytest.raises(IntegrityError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE training_runtimesettingschange SET changed_by = 'eve'")


def test_the_orm_cannot_save_an_outcome_again(host):
    outcome = make_outcome(host)
    outcome.success = False
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        outcome.save()


@pytest.mark.parametrize(("success", "state"), [(False, "verified"), (True, "unsure"), (True, "")])
def test_postgres_refuses_to_count_what_is_no_sure_success(host, success, state):
    run = make_outcome(host).run
    with behind_guards():
        TrainingOutcome.objects.all().delete()
    with pytest.raises(IntegrityError, match="only_sure_successes_are_counted"), transaction.atomic():
        TrainingOutcome.objects.create(
            cycle=run.cycle, run=run, source=run.cycle.source, host=host, success=success, answer_state=state,
            is_counted=True,
        )  # fmt: skip


def test_counters_equal_the_rows(host):
    for number, success in enumerate([True, False, True, True]):
        make_outcome(host, success=success, now=later(hours=number))
    counts = read_counters()
    assert counts["outcomes.total"] == TrainingOutcome.objects.count() == 4
    assert counts["outcomes.success"] == TrainingOutcome.objects.filter(success=True).count()
    assert counts["outcomes.failure"] == TrainingOutcome.objects.filter(success=False).count()


def test_counters_that_were_never_written_are_nought(db):
    assert set(read_counters().values()) == {0}


def test_counts_that_race_are_all_counted(race):
    race(*[lambda: [add_counts(outcomes__failure=1, outcomes__success=1) for _ in range(20)] for _ in range(4)])
    counts = read_counters()
    assert (counts["outcomes.total"], counts["outcomes.success"]) == (160, 80)
    assert CounterSlot.objects.count() <= 2 * 16


def test_a_count_that_is_rolled_back_is_not_counted(db):
    with pytest.raises(RuntimeError), transaction.atomic():
        add_counts(outcomes__success=1)
        raise RuntimeError
    assert read_counters()["outcomes.total"] == 0


def test_adding_nothing_writes_nothing(db):
    add_counts(outcomes__failure=0)
    assert not CounterSlot.objects.exists()


def test_outcomes_that_race_are_all_there(race, settle):
    settle(training_max_active_runs=10, global_max_concurrent_runs=20)
    runs = []
    for _ in range(6):
        make_source(make_host())
        runs.append(begin_claimed())
    race(*[lambda run=run: finish(run) for run in runs])
    assert TrainingOutcome.objects.count() == read_counters()["outcomes.total"] == 6


def test_a_failed_run_of_a_cancelled_campaign_is_not_tried_again(host):
    campaign = create_campaign(
        title="",
        prompt="Which?",
        host=host,
        check_spec=None,
        pages_target=None,
        size=2,
        queued_from="api",
        by=command_line("ada"),
    )
    run = begin_claimed()
    assert cancel_campaign(campaign_id=campaign.pk, by=command_line("ada"), origin="api") == 1
    finish(run, success=False)
    assert set(campaign.sources.values_list("status", flat=True)) == {"cancelled", "failed"}
