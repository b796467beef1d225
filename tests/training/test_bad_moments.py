"""What staff take away while it is in use: a defined result or a clear refusal, and the loop goes on."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from lealife.core.actors import command_line
from lealife.core.errors import Conflict, StaleClaim
from tests.factories import START, begin_claimed, finish, later, make_host, make_source
from training.claims import claim_next_source
from training.models import Host, Run, TrainingOutcome, TrainingSource
from training.runs import fail_lapsed_runs
from training.sources import cancel_source, disable_source

WHO = {"by": command_line("ada"), "origin": "page"}
WORKED_BY = {"source": TrainingSource, "run": Run, "outcome": TrainingOutcome}


@pytest.fixture
def staff(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.fixture
def run(host: Host) -> Run:
    """A training run in flight."""
    make_source(host)
    return begin_claimed()


def test_a_source_that_runs_is_not_cancelled_and_the_refusal_says_why(run):
    source = TrainingSource.objects.get()
    with pytest.raises(Conflict, match=f"Source {source.pk} is claimed"):
        cancel_source(source_id=source.pk, **WHO)
    assert finish(run).status == "succeeded"
    source.refresh_from_db()
    assert source.status == "done"


@pytest.mark.parametrize("status", ["disabled", "cancelled"])
@pytest.mark.parametrize("success", [True, False])
def test_a_source_taken_out_while_it_runs_stays_so_and_its_outcome_is_recorded(run, status, success):
    TrainingSource.objects.update(status=status, status_reason="by ada")
    finish(run, success=success)
    source = TrainingSource.objects.get()
    assert (source.status, source.status_reason) == (status, "by ada")
    assert TrainingOutcome.objects.get().success is success
    assert claim_next_source(now=later(hours=1)) is None


def test_a_source_taken_out_while_its_worker_dies_is_not_tried_again(run):
    TrainingSource.objects.update(status="disabled")
    assert fail_lapsed_runs(now=later(hours=1)) == 1
    assert TrainingOutcome.objects.get().error_code == "worker_lost"
    assert TrainingSource.objects.get().status == "disabled"
    assert claim_next_source(now=later(hours=2)) is None


def test_a_disable_that_races_the_end_of_the_run_gives_one_outcome_and_one_status(race, host):
    make_source(host)
    run = begin_claimed()
    source_id = TrainingSource.objects.get().pk
    race(lambda: finish(run, success=False), lambda: disable_source(source_id=source_id, **WHO))
    assert TrainingOutcome.objects.count() == 1
    assert TrainingSource.objects.get().status in {"pending", "disabled"}


@pytest.mark.parametrize("of", WORKED_BY)
def test_rows_of_a_running_run_cannot_be_deleted(staff, run, of):
    model = WORKED_BY[of]
    if of == "outcome":
        finish(run)
    row = model.objects.get()
    answer = staff.post(reverse(f"admin:training_{model._meta.model_name}_delete", args=[row.pk]), {"post": "yes"})
    assert answer.status_code == 403
    assert model.objects.filter(pk=row.pk).exists()


def test_deleting_a_host_with_a_running_run_is_refused_with_the_reason(staff, host, run):
    address = reverse("admin:training_host_delete", args=[host.pk])
    page = staff.post(address, {"post": "yes"}, follow=True).content.decode()
    assert "Cannot delete host" in page
    assert Host.objects.filter(pk=host.pk).exists()
    assert finish(run).status == "succeeded"


def test_a_bulk_deletion_leaves_a_host_that_is_in_use(staff, host, run):
    form = {"action": "delete_selected", "_selected_action": [host.pk], "post": "yes"}
    page = staff.post(reverse("admin:training_host_changelist"), form, follow=True).content.decode()
    assert "Cannot delete host" in page
    assert Host.objects.filter(pk=host.pk).exists()


def test_a_host_archived_while_its_run_executes_lets_it_end_and_is_served_no_more(host, run):
    make_source(host)
    Host.objects.update(enabled=False)
    assert finish(run).status == "succeeded"
    assert TrainingOutcome.objects.get().success
    assert claim_next_source(now=START) is None
    Host.objects.update(enabled=True)
    assert claim_next_source(now=START) is not None


def test_other_hosts_are_served_while_one_is_archived(host, run):
    Host.objects.update(enabled=False)
    other = make_host()
    make_source(other)
    assert Run.objects.get(pk=claim_next_source(now=START).run_id).host == other


def test_a_clock_put_forward_a_day_fails_the_run_and_refuses_its_late_worker(run):
    assert fail_lapsed_runs(now=later(days=1)) == 1
    with pytest.raises(StaleClaim):
        finish(run, now=later(days=1))
    assert TrainingOutcome.objects.get().error_code == "worker_lost"
    assert TrainingSource.objects.get().status == "pending"
    assert claim_next_source(now=later(days=2)) is not None
