"""Canary: real training runs, counted by arm, stopped at harm and never passed for want of data."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from lealife.core.actors import command_line
from lealife.core.errors import InvalidInput, NotFound
from promotion.canary import abort_open_canary, open_canary, read_observations, settle_canary
from promotion.gate.harm import CanaryVerdict
from promotion.models import Canary, Evaluation
from promotion.routing import read_canary_routing, read_canary_split, read_routing
from tests.promotion.scenes import Servers, change_settings, make_outcome, make_promoted
from training.coordinator import read_coordinator, stop_training
from training.models import AuditEntry, Coordinator, Host

MINIMUM = 5


@pytest.fixture
def evaluation(db: None, servers: Servers) -> Evaluation:
    change_settings(canary_min_observations=MINIMUM, canary_share_percent=30, canary_deadline_s=600)
    read_coordinator()
    Coordinator.objects.update(enabled=True)
    return make_promoted(servers)


@pytest.fixture
def canary(evaluation: Evaluation) -> Canary:
    canary = open_canary(evaluation_id=evaluation.pk, now=timezone.now())
    canary.refresh_from_db()
    return canary


def observe(canary: Canary, host: Host, *, lane: str, successes: int, failures: int = 0, error_code: str = "") -> None:
    for _ in range(successes):
        make_outcome(host, lane=lane, canary_id=canary.pk)
    for _ in range(failures):
        make_outcome(host, lane=lane, canary_id=canary.pk, success=False, error_code=error_code)


def settle(canary: Canary, *, at: datetime | None = None, unseen: timedelta = timedelta(seconds=2)) -> str:
    """How the reason begins after a look at `at`, as long after the look before as `unseen` says."""
    at = at or timezone.now()
    Canary.objects.filter(pk=canary.pk, state="open").update(looked_at=at - unseen)
    decision = settle_canary(canary_id=canary.pk, now=at)
    canary.refresh_from_db()
    canary.evaluation.window.refresh_from_db()
    canary.evaluation.candidate.refresh_from_db()
    return decision.reason.split(":")[0]


def test_opening_takes_share_minimum_and_deadline_from_the_settings(evaluation):
    now = timezone.now()
    canary = open_canary(evaluation_id=evaluation.pk, now=now)
    assert (canary.role, canary.share_percent, canary.min_observations) == ("controller", 30, MINIMUM)
    assert canary.deadline_at == now + timedelta(seconds=600)


def test_opening_twice_finds_the_first(evaluation):
    first = open_canary(evaluation_id=evaluation.pk, now=timezone.now())
    assert open_canary(evaluation_id=evaluation.pk, now=timezone.now()) == first
    assert Canary.objects.count() == 1


def test_a_role_has_one_open_canary(canary, servers):
    second = make_promoted(servers, number=2)
    with pytest.raises(IntegrityError, match="one_open_canary_per_role"), transaction.atomic():
        open_canary(evaluation_id=second.pk, now=timezone.now())


@pytest.mark.parametrize(
    "change",
    [
        {"min_observations": 1},
        {"share_percent": 90},
        {"ramp_percent": 1},
        {"first_outcome_id": F("first_outcome_id") + 1},
        {"deadline_at": F("deadline_at") - timedelta(seconds=1)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_postgres_keeps_what_an_open_canary_was_opened_under(canary, change):
    Canary.objects.filter(pk=canary.pk).update(deadline_at=F("deadline_at") + timedelta(seconds=1))
    with pytest.raises(IntegrityError, match="is evidence"), transaction.atomic():
        Canary.objects.filter(pk=canary.pk).update(**change)


def test_a_canary_waits_for_its_minimum_in_both_arms(canary, host):
    observe(canary, host, lane="canary", successes=MINIMUM)
    observe(canary, host, lane="training", successes=MINIMUM - 1)
    assert settle(canary) == "Collecting"
    assert (canary.state, canary.candidate_observations, canary.baseline_observations) == ("open", 5, 4)
    assert canary.reason == "Collecting: candidate 5 of 5, baseline 4 of 4, 5 needed in each."


def test_a_canary_that_does_no_harm_passes(canary, host):
    observe(canary, host, lane="canary", successes=MINIMUM)
    observe(canary, host, lane="training", successes=MINIMUM)
    assert settle(canary) == "No harm found"
    assert (canary.state, canary.evaluation.window.state) == ("passed", "applying")
    assert canary.evaluation.candidate.status == "candidate"
    assert canary.closed_at is not None


def test_a_canary_that_does_harm_is_aborted_before_its_minimum(evaluation, host):
    change_settings(canary_min_observations=50)
    canary = open_canary(evaluation_id=evaluation.pk, now=timezone.now())
    observe(canary, host, lane="canary", successes=0, failures=12)
    observe(canary, host, lane="training", successes=40)
    assert settle(canary) == "Harm"
    assert (canary.state, canary.evaluation.window.state) == ("aborted", "rejected")
    assert canary.evaluation.candidate.status == "rejected"
    assert canary.evaluation.window.reason == canary.reason


@pytest.mark.parametrize(
    ("error_code", "cause"),
    [
        ("timeout", "Too many timeouts"),
        ("model_invalid", "Too many errors"),
        ("internal_error", "Too many errors"),
    ],
)
def test_errors_of_the_candidate_abort_it(canary, host, error_code, cause):
    observe(canary, host, lane="canary", successes=4, failures=2, error_code=error_code)
    assert settle(canary) == cause
    assert canary.state == "aborted"


@pytest.mark.parametrize(
    ("lane", "changed"),
    [("canary", "what answers as the candidate"), ("training", "what answers as the active tag")],
)
@pytest.mark.parametrize("served", ["sha256:another", "mixed", "missing"])
def test_outcomes_of_another_digest_count_for_no_arm_and_end_the_canary(canary, host, lane, changed, served):
    observe(canary, host, lane="canary", successes=MINIMUM - 1)
    observe(canary, host, lane="training", successes=MINIMUM)
    make_outcome(host, lane=lane, canary_id=canary.pk, claimed="sha256:promised", served=served)
    assert settle(canary) == "Changed since the evaluation"
    assert canary.reason == f"Changed since the evaluation: {changed}."
    assert (canary.candidate_observations, canary.baseline_observations) == (MINIMUM - 1, MINIMUM)
    assert (canary.state, canary.evaluation.candidate.status) == ("aborted", "rejected")


def test_errors_of_the_baseline_are_not_the_candidates(canary, host):
    observe(canary, host, lane="training", successes=0, failures=5, error_code="timeout")
    assert settle(canary) == "Collecting"


def test_no_traffic_by_the_deadline_is_a_failure(canary):
    assert settle(canary, at=canary.deadline_at - timedelta(seconds=1)) == "Collecting"
    assert settle(canary, at=canary.deadline_at) == "Too little traffic by the deadline"
    assert canary.state == "aborted"
    assert "no data is never a pass" in canary.reason


def test_a_gap_in_checks_extends_the_canarys_deadline(canary):
    deadline = canary.deadline_at
    assert settle(canary, at=deadline, unseen=timedelta(hours=8)) == "Collecting"
    assert canary.deadline_at == deadline + timedelta(hours=8)
    assert settle(canary, at=canary.deadline_at) == "Too little traffic by the deadline"


def test_time_in_which_training_is_stopped_is_not_the_candidates(canary):
    stop_training(by=command_line("ada"), origin="tests")
    deadline = canary.deadline_at
    assert settle(canary, at=deadline) == "Collecting"
    assert canary.deadline_at == deadline + timedelta(seconds=2)


def test_outcomes_outside_of_the_canary_do_not_count(canary, host):
    make_outcome(host, lane="training")
    make_outcome(host, lane="canary", canary_id=canary.pk + 1)
    assert set(read_observations(canary.pk).values()) == {0}


def test_a_closed_canary_stays_as_it_was_closed(canary, host):
    settle(canary, at=canary.deadline_at)
    reason, closed_at = canary.reason, canary.closed_at
    observe(canary, host, lane="canary", successes=MINIMUM)
    observe(canary, host, lane="training", successes=MINIMUM)
    assert settle_canary(canary_id=canary.pk, now=timezone.now()).verdict is CanaryVerdict.PASS
    canary.refresh_from_db()
    assert (canary.state, canary.reason, canary.closed_at) == ("aborted", reason, closed_at)
    assert canary.candidate_observations == 0


# Routing while a canary is open.


def test_the_open_canary_says_which_share_of_sources_its_candidate_serves(canary):
    split = read_canary_split()
    assert (split.canary_id, split.share) == (canary.pk, 0.3)
    served = sum(split.covers(source) for source in range(1, 2001))
    assert 500 < served < 700
    assert [split.covers(source) for source in range(50)] == [read_canary_split().covers(n) for n in range(50)]


def test_the_candidate_serves_in_its_own_role_only(canary):
    routing, active = read_canary_routing(canary.pk), read_routing()
    assert routing.controller == canary.evaluation.candidate
    assert routing.task == active.task
    assert active.controller == canary.evaluation.baseline


def test_an_aborted_candidate_serves_no_more_not_even_what_was_promised_to_it(canary):
    settle(canary, at=canary.deadline_at)
    assert read_canary_split() is None
    assert read_canary_routing(canary.pk) == read_routing()


def test_without_tags_routing_says_so(db):
    assert read_routing().controller is None
    with pytest.raises(NotFound, match="No model tags are active yet"):
        read_routing().require()


def test_a_canary_that_ramps_begins_small_and_earns_the_rest(evaluation, host):
    change_settings(canary_ramp=True, canary_share_percent=20, canary_min_observations=20)
    canary = open_canary(evaluation_id=evaluation.pk, now=timezone.now())
    small = {source for source in range(400) if read_canary_split().covers(source)}
    observe(canary, host, lane="canary", successes=4)
    settle(canary)
    assert read_canary_split().share == 0.05
    observe(canary, host, lane="canary", successes=1)
    settle(canary)
    assert read_canary_split().share == 0.2
    # Nothing that the candidate serves goes back to the other arm.
    assert small < {source for source in range(400) if read_canary_split().covers(source)}


# Stopped by an operator.


def test_an_operator_ends_the_open_canary_with_a_reason_and_a_trace(canary, host):
    observe(canary, host, lane="canary", successes=2)
    stopped = abort_open_canary(by=command_line("ada"), origin="page", reason=" It shouts. ")
    assert (stopped.pk, stopped.state, stopped.reason) == (canary.pk, "aborted", "Stopped by ada: It shouts.")
    assert stopped.candidate_observations == 2
    window, candidate = stopped.evaluation.window, stopped.evaluation.candidate
    window.refresh_from_db()
    candidate.refresh_from_db()
    assert (window.state, window.reason, candidate.status) == ("rejected", stopped.reason, "rejected")
    assert read_canary_split() is None
    assert AuditEntry.objects.filter(actor="ada", origin="page", action="abort canary").count() == 1


def test_an_abort_without_a_reason_or_without_a_canary_is_refused(canary):
    with pytest.raises(InvalidInput, match="Enter a reason"):
        abort_open_canary(by=command_line("ada"), origin="page", reason=" ")
    with pytest.raises(NotFound, match="No task canary is open"):
        abort_open_canary(by=command_line("ada"), origin="page", reason="why", role="task")
    abort_open_canary(by=command_line("ada"), origin="page", reason="why")
    with pytest.raises(NotFound, match="No canary is open"):
        abort_open_canary(by=command_line("ada"), origin="page", reason="why")
    assert AuditEntry.objects.count() == 1


def test_runs_that_no_model_answered_move_no_arm(canary, host):
    observe(canary, host, lane="canary", successes=1, failures=9, error_code="model_unavailable")
    observe(canary, host, lane="training", successes=2, failures=3, error_code="model_unavailable")
    counts = read_observations(canary.pk)
    assert (counts["candidate_observations"], counts["baseline_observations"], counts["errors"]) == (1, 2, 0)
    assert settle(canary) == "Collecting"
