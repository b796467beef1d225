"""Canary: the candidate serves a share of real training runs, and is stopped at the first sign of harm."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, F, Max, Q, QuerySet
from django.utils import timezone

from lealife.core.actors import Actor, requires
from lealife.core.announce import announce
from lealife.core.errors import Conflict, InvalidInput, NotFound
from promotion.candidates.windows import move_window
from promotion.gate.harm import ERRORS, TIMEOUTS, CanaryDecision, CanaryVerdict, judge_canary
from promotion.models import Canary, Evaluation, ModelTag, PromotionWindow, Role
from promotion.proof.bundle_rules import STOPPED
from training.agent.errors import ErrorCode
from training.audit import record_audit
from training.coordinator import read_coordinator
from training.models import Run, TrainingOutcome
from training.runtime_settings import read_settings

State = PromotionWindow.State
# A canary that ramps starts with one part in this many of its share, until it has that part of its minimum.
RAMP_PART = 4
# An open canary is checked every few seconds. A longer gap means that promotion was held or nothing ran.
UNSEEN = timedelta(minutes=5)
# What of the counts its row keeps.
KEPT = ("candidate_successes", "candidate_observations", "baseline_successes", "baseline_observations")
# An empty served digest: the run never reached a model, so no other tag served it.
_AS_PROMISED = (Q(served_controller_digest="") | Q(served_controller_digest=F("controller_digest"))) & (
    Q(served_task_digest="") | Q(served_task_digest=F("task_digest"))
)


def open_canary(*, evaluation_id: int, now: datetime) -> Canary:
    """Opens the canary of a promoted evaluation; a second call returns the same canary."""
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
            ramp_percent=max(1, row.canary_share_percent // RAMP_PART) if row.canary_ramp else 0,
            min_observations=row.canary_min_observations,
            deadline_at=now + timedelta(seconds=row.canary_deadline_s),
            first_outcome_id=TrainingOutcome.objects.aggregate(last=Max("id"))["last"] or 0,
        )
        announce("promotion")
        return canary


def lock_canaries() -> QuerySet[Canary]:
    """Canaries with their candidates; each that is read stays locked until the transaction ends."""
    return Canary.objects.select_for_update(of=("self",)).select_related("evaluation__candidate")


def settle_canary(*, canary_id: int, now: datetime) -> CanaryDecision:
    """Counts both arms, asks the guardrail, and closes the canary when it has a verdict."""
    with transaction.atomic():
        canary = lock_canaries().get(pk=canary_id)
        _leave_out_pause(canary, now=now)
        counts = read_observations(canary_id)
        decision = judge_canary(
            candidate=(counts["candidate_successes"], counts["candidate_observations"]),
            baseline=(counts["baseline_successes"], counts["baseline_observations"]),
            errors=counts["errors"],
            timeouts=counts["timeouts"],
            elapsed_s=(now - canary.opened_at).total_seconds(),
            deadline_s=(canary.deadline_at - canary.opened_at).total_seconds(),
            min_observations=canary.min_observations,
            changed=find_changes(canary) + _name_foreign(counts),
        )
        if canary.state != Canary.State.OPEN:
            return decision
        _keep_counts(canary, counts=counts, reason=decision.reason)
        if decision.verdict is CanaryVerdict.ABORT:
            abort_canary(canary, expected=State.CANARY, reason=decision.reason, now=now)
        elif decision.verdict is CanaryVerdict.PASS:
            Canary.objects.filter(pk=canary.pk).update(state=Canary.State.PASSED, closed_at=now)
            window_id, reason = canary.evaluation.window_id, decision.reason
            move_window(window_id=window_id, expected=State.CANARY, to=State.APPLYING, now=now, reason=reason)
        announce("promotion")
        return decision


def _leave_out_pause(canary: Canary, *, now: datetime) -> None:
    """Extends the deadline by the time in which no run was possible: a hold, a stop, a power cut."""
    if canary.state != Canary.State.OPEN:
        return
    gap = now - (canary.looked_at or canary.opened_at)
    if gap > UNSEEN or not read_coordinator().enabled:
        canary.deadline_at += max(gap, timedelta())
    canary.looked_at = now
    Canary.objects.filter(pk=canary.pk).update(deadline_at=canary.deadline_at, looked_at=now)


def read_share(canary: Canary) -> int:
    """The percentage of training runs that the candidate serves now; small at first when the canary ramps.

    A source in the small share is in the full share too, so no source changes arms when the share grows.
    """
    earned = RAMP_PART * canary.candidate_observations >= canary.min_observations
    return canary.share_percent if earned or not canary.ramp_percent else canary.ramp_percent


@requires("promotion.abort_canary")
def abort_open_canary(*, by: Actor, origin: str, reason: str, role: str = "") -> Canary:
    """Ends the open canary at an operator's request; its candidate is rejected and serves no more.

    When each role has an open canary, `role` chooses one. Raises InvalidInput without a reason, NotFound when no
    canary is open, Conflict when both are open and no role is given.
    """
    if not (reason := reason.strip()):
        raise InvalidInput("Enter a reason for the abort. The audit log keeps it.", field="reason")
    with transaction.atomic():
        wanted = lock_canaries().filter(state=Canary.State.OPEN, role__in=[role] if role else Role.values)
        found = list(wanted.order_by("id"))
        if not found:
            raise NotFound(f"No {role + ' ' if role else ''}canary is open.")
        if len(found) > 1:
            raise Conflict("Each role has an open canary. Choose a role.", field="role")
        (canary,) = found
        said = f"{STOPPED}{by}: {reason}"
        _keep_counts(canary, counts=read_observations(canary.pk), reason=said)
        abort_canary(canary, expected=State.CANARY, reason=said, now=timezone.now())
        record_audit(
            actor=by, origin=origin, action="abort canary", subject=f"canary {canary.pk}", details={"reason": reason}
        )
        canary.refresh_from_db()
        return canary


def find_changes(canary: Canary) -> list[str]:
    """What changed since the evaluation: evidence against one tag says nothing about another tag."""
    evaluation = canary.evaluation
    active = ModelTag.objects.filter(status=ModelTag.Status.ACTIVE)
    baseline = active.filter(pk=evaluation.baseline_id, digest=evaluation.baseline_digest)
    return [] if baseline.exists() else ["the active tag"]


def read_observations(canary_id: int) -> dict[str, int]:
    """Outcomes of both arms: the candidate's in the canary lane, the active tag's in the training lane.

    Runs that no model answered are not counted. Neither are the runs under `foreign_*`, which another digest served
    than the one that they were promised: they say nothing about either tag.
    """
    candidate = Q(lane=Run.Lane.CANARY)
    ours, theirs = candidate & _AS_PROMISED, ~candidate & _AS_PROMISED
    answered = TrainingOutcome.objects.filter(canary_id=canary_id).exclude(error_code=ErrorCode.MODEL_UNAVAILABLE)
    return answered.aggregate(
        candidate_observations=Count("id", filter=ours),
        candidate_successes=Count("id", filter=ours & Q(success=True)),
        baseline_observations=Count("id", filter=theirs),
        baseline_successes=Count("id", filter=theirs & Q(success=True)),
        errors=Count("id", filter=ours & Q(error_code__in=ERRORS)),
        timeouts=Count("id", filter=ours & Q(error_code__in=TIMEOUTS)),
        foreign_candidate=Count("id", filter=candidate & ~_AS_PROMISED),
        foreign_baseline=Count("id", filter=~candidate & ~_AS_PROMISED),
    )


def _name_foreign(counts: dict[str, int]) -> list[str]:
    named = {"foreign_candidate": "what answers as the candidate", "foreign_baseline": "what answers as the active tag"}
    return [said for name, said in named.items() if counts[name]]


def _keep_counts(canary: Canary, *, counts: dict[str, int], reason: str) -> None:
    Canary.objects.filter(pk=canary.pk).update(reason=reason, **{name: counts[name] for name in KEPT})


def abort_canary(canary: Canary, *, expected: str, reason: str, now: datetime) -> None:
    """Ends a canary that the caller has locked, rejects its candidate and closes the window in state `expected`."""
    Canary.objects.filter(pk=canary.pk).update(state=Canary.State.ABORTED, closed_at=now, reason=reason)
    ModelTag.objects.filter(pk=canary.evaluation.candidate_id).update(status=ModelTag.Status.REJECTED)
    move_window(window_id=canary.evaluation.window_id, expected=expected, to=State.REJECTED, now=now, reason=reason)
