"""Canary: real training runs, a share of them served by the candidate, stopped at the first sign of harm."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Max, Q

from lealife.lib.announce import announce
from promotion.harm import ERRORS, TIMEOUTS, WATCH_FACTOR, CanaryDecision, CanaryVerdict, judge_canary
from promotion.models import Canary, Evaluation, ModelTag, PromotionWindow
from promotion.windows import move_window
from training.models import Run, TrainingOutcome
from training.runtime_settings import read_settings

State = PromotionWindow.State


def open_canary(*, evaluation_id: int, now: datetime) -> Canary:
    """Opens the canary of a promoted evaluation; a second call finds the first one's."""
    row = read_settings()
    with transaction.atomic():
        evaluation = (
            Evaluation.objects.select_for_update(of=("self",)).select_related("candidate").get(pk=evaluation_id)
        )
        known = Canary.objects.filter(evaluation=evaluation).first()
        if known is not None:
            return known
        canary = Canary.objects.create(
            evaluation=evaluation,
            role=evaluation.candidate.role,
            share_percent=row.canary_share_percent,
            min_observations=row.canary_min_observations,
            deadline_at=now + timedelta(seconds=row.canary_deadline_s),
            first_outcome_id=TrainingOutcome.objects.aggregate(last=Max("id"))["last"] or 0,
        )
        announce("promotion")
        return canary


def settle_canary(*, canary_id: int, now: datetime) -> CanaryDecision:
    """Counts both arms, asks the guardrail, and closes the canary when it has a verdict."""
    with transaction.atomic():
        canary = (
            Canary.objects.select_for_update(of=("self",)).select_related("evaluation__candidate").get(pk=canary_id)
        )
        counts = read_observations(canary_id)
        decision = judge_canary(
            candidate=(counts["candidate_successes"], counts["candidate"]),
            baseline=(counts["baseline_successes"], counts["baseline"]),
            errors=counts["errors"],
            timeouts=counts["timeouts"],
            elapsed_s=(now - canary.opened_at).total_seconds(),
            deadline_s=(canary.deadline_at - canary.opened_at).total_seconds(),
            min_observations=canary.min_observations,
            watch_observations=WATCH_FACTOR * canary.min_observations,
            changed=find_changes(canary),
        )
        if canary.state != Canary.State.OPEN:
            return decision
        Canary.objects.filter(pk=canary_id).update(
            candidate_successes=counts["candidate_successes"],
            candidate_observations=counts["candidate"],
            baseline_successes=counts["baseline_successes"],
            baseline_observations=counts["baseline"],
            reason=decision.reason,
        )
        if decision.verdict is not CanaryVerdict.PENDING:
            _close(canary, passed=decision.verdict is CanaryVerdict.PASS, reason=decision.reason, now=now)
        announce("promotion")
        return decision


def find_changes(canary: Canary) -> list[str]:
    """What moved since the evaluation: a candidate proven against one tag says nothing against another."""
    baseline = ModelTag.objects.filter(pk=canary.evaluation.baseline_id, status=ModelTag.Status.ACTIVE)
    return [] if baseline.exists() else ["the active tag"]


def read_observations(canary_id: int) -> dict[str, int]:
    """Outcomes of both arms: the canary lane is the candidate's, the training lane the active tag's."""
    candidate = Q(lane=Run.Lane.CANARY)
    return TrainingOutcome.objects.filter(canary_id=canary_id).aggregate(
        candidate=Count("id", filter=candidate),
        candidate_successes=Count("id", filter=candidate & Q(success=True)),
        baseline=Count("id", filter=~candidate),
        baseline_successes=Count("id", filter=~candidate & Q(success=True)),
        errors=Count("id", filter=candidate & Q(error_code__in=ERRORS)),
        timeouts=Count("id", filter=candidate & Q(error_code__in=TIMEOUTS)),
    )


def _close(canary: Canary, *, passed: bool, reason: str, now: datetime) -> None:
    if not passed:
        abort_canary(canary, expected=State.CANARY, reason=reason, now=now)
        return
    Canary.objects.filter(pk=canary.pk).update(state=Canary.State.PASSED, closed_at=now)
    move_window(window_id=canary.evaluation.window_id, expected=State.CANARY, to=State.APPLYING, now=now, reason=reason)


def abort_canary(canary: Canary, *, expected: str, reason: str, now: datetime) -> None:
    """Ends a canary that the caller has locked, rejects its candidate and closes the window in state `expected`."""
    Canary.objects.filter(pk=canary.pk).update(state=Canary.State.ABORTED, closed_at=now, reason=reason)
    ModelTag.objects.filter(pk=canary.evaluation.candidate_id).update(status=ModelTag.Status.REJECTED)
    move_window(window_id=canary.evaluation.window_id, expected=expected, to=State.REJECTED, now=now, reason=reason)
