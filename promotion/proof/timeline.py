"""The timeline: which tag served at any moment, whether outcomes confirm it, and verdicts rebuilt from evidence."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from lealife.core.errors import NotFound
from promotion.evaluation.gain import read_gain
from promotion.gate.rule import Decision
from promotion.models import Canary, Evaluation, LiveApply, ModelTag, Role, Watch, WatchedRun
from promotion.proof.bundle_outcomes import COUNTED, count_outcome
from promotion.proof.bundle_records import describe_canary, describe_verdict
from promotion.proof.bundle_rules import (
    PairTally,
    find_canary_fault,
    find_verdict_fault,
    rebuild_decision,
)
from promotion.proof.served import COMMIT_WITHIN
from training.models import Run, TrainingOutcome

# How many outcomes are read on each side of the moment.
NEAR = 5


@dataclass(frozen=True, slots=True)
class Serving:
    """The tag that served a role at a moment. `apply_id` is None for the first tag.

    `agrees` is None when there is no outcome from the tag's time; `wrong_outcome_id` is one that another digest served.
    `held_back_percent` is the share of training runs that the previous tag still served.
    """

    role: str
    at: datetime
    tag: str
    digest: str
    since: datetime
    until: datetime | None
    apply_id: int | None
    checked: int
    agrees: bool | None
    wrong_outcome_id: int | None
    sentence: str
    held_back_percent: int = 0


@dataclass(frozen=True, slots=True)
class RebuiltVerdict:
    """A stored verdict and the one that its evidence gives now. The faults are empty when they agree."""

    evaluation_id: int
    stored: str
    stored_reason: str
    decision: Decision
    fault: str
    canary_id: int | None
    canary_fault: str

    @property
    def agrees(self) -> bool:
        """Whether all that is stored follows from the evidence."""
        return not self.fault and not self.canary_fault


def find_serving(*, role: str, at: datetime) -> Serving:
    """The tag that routing used for `role` at that moment, and whether the outcomes near it confirm that.

    Raises NotFound for an unknown role, and for a moment before the first tag.
    """
    if role not in Role.values:
        raise NotFound(f"There is no role {role!r}: it is {' or '.join(Role.values)}.", field="role")
    applies = LiveApply.objects.filter(role=role).select_related("from_tag", "to_tag", "measurement").order_by("id")
    apply = applies.filter(applied_at__lte=at).last()
    following = applies.filter(applied_at__gt=at).first()
    tag, digest, since = _name_serving(role, apply=apply, following=following)
    if at < since:
        raise NotFound(f"No {role} tag served at {at:%Y-%m-%d %H:%M} UTC: the first came at {since:%Y-%m-%d %H:%M}.")
    until = following.applied_at if following else None
    served = _read_near(role, at=at, since=since, until=until, apply=apply)
    wrong = next((outcome for outcome, found in served if found != digest), None)
    if not served:
        said = "not asked: no live outcome near that moment asked a model"
    elif wrong is None:
        said = f"all {len(served)} live outcomes near that moment carry its digest"
    else:
        said = f"outcome {wrong} near that moment was served by another digest"
    right = f"apply {apply.pk}" if apply else "the first routing"
    held = _find_hold_back(apply, at=at)
    beside = f"; {held.share_percent} % of training runs were held back for {apply.from_tag}" if apply and held else ""
    gain = read_gain(apply)
    said += f"{beside}. {gain.sentence}" if gain else f"{beside}."
    return Serving(
        role=role,
        at=at,
        tag=tag.name,
        digest=digest,
        since=since,
        until=until,
        apply_id=apply.pk if apply else None,
        checked=len(served),
        agrees=wrong is None if served else None,
        wrong_outcome_id=wrong,
        sentence=f"{role}: {tag.name}, {digest}, since {since:%Y-%m-%d %H:%M:%S} UTC by {right}; {said}",
        held_back_percent=held.share_percent if held else 0,
    )


def rebuild_verdict(evaluation_id: int) -> RebuiltVerdict:
    """Asks the gate again about the stored evidence, and the guardrail too when there was a canary.

    Raises NotFound when there is no such evaluation.
    """
    evaluations = Evaluation.every.select_related("candidate", "baseline", "canary")
    evaluation = evaluations.filter(pk=evaluation_id).first()
    if evaluation is None:
        raise NotFound(f"There is no evaluation {evaluation_id}.")
    tally, fault = PairTally(), ""
    for pair in evaluation.pairs.select_related("candidate_arm", "baseline_arm").order_by("index"):
        result = tally.add(candidate=pair.candidate_arm, baseline=pair.baseline_arm)
        if result != pair.result and not fault:
            fault = f"pair {pair.index}: its arms give a {result.value}, stored is {pair.result}"
    stored = describe_verdict(evaluation)
    decision = rebuild_decision(stored, tally=tally)
    canary = getattr(evaluation, "canary", None)
    return RebuiltVerdict(
        evaluation_id=evaluation_id,
        stored=evaluation.verdict,
        stored_reason=evaluation.reason,
        decision=decision,
        fault=fault or find_verdict_fault(stored, decision=decision, tally=tally),
        canary_id=canary.pk if canary else None,
        canary_fault=_find_canary_fault(canary) if canary else "",
    )


def _name_serving(role: str, *, apply: LiveApply | None, following: LiveApply | None) -> tuple[ModelTag, str, datetime]:
    """Tag, digest and since when; before the first switch, the tag that the first switch replaced."""
    if apply is not None:
        return apply.to_tag, apply.to_digest, apply.applied_at
    if following is not None and following.from_tag is not None:
        return following.from_tag, following.from_digest, following.from_tag.created_at
    tag = ModelTag.objects.filter(role=role, status=ModelTag.Status.ACTIVE).first()
    if tag is None or following is not None:
        raise NotFound(f"No {role} tag served then: none was active yet.")
    return tag, tag.digest, tag.created_at


def _find_hold_back(apply: LiveApply | None, *, at: datetime) -> Watch | None:
    """The watch that was open over the apply at that moment."""
    watches = Watch.objects.filter(apply=apply, opened_at__lte=at) if apply else Watch.objects.none()
    return watches.filter(Q(closed_at=None) | Q(closed_at__gt=at)).first()


def _read_near(
    role: str, *, at: datetime, since: datetime, until: datetime | None, apply: LiveApply | None
) -> list[tuple[int, str]]:
    """(outcome, served digest) of the runs that started nearest to the moment, in the time when the tag served."""
    column = f"served_{role}_digest"
    live = TrainingOutcome.objects.filter(lane=Run.Lane.TRAINING, run__started_at__gte=since).exclude(**{column: ""})
    if until is not None:
        live = live.filter(run__started_at__lt=until)
    if apply is not None:
        # As in the served-digest proof: a run that started while the switch was committing was promised the old tag.
        promised_old = {f"{role}_digest": apply.from_digest, "run__started_at__lt": since + COMMIT_WITHIN}
        live = live.exclude(**promised_old)
        # Runs held back for the previous tag prove nothing about the active one.
        live = live.exclude(run__in=WatchedRun.objects.filter(watch__apply=apply, held_back=True).values("run"))
    before: QuerySet = live.filter(run__started_at__lte=at).order_by("-run__started_at")
    after: QuerySet = live.filter(run__started_at__gt=at).order_by("run__started_at")
    return [*before.values_list("pk", column)[:NEAR], *after.values_list("pk", column)[:NEAR]]


def _find_canary_fault(canary: Canary) -> str:
    tally: Counter[str] = Counter()
    for outcome in TrainingOutcome.objects.filter(canary_id=canary.pk).values(*COUNTED):
        count_outcome(tally, outcome)
    return find_canary_fault(describe_canary(canary), tally=tally)
