"""The stages after a verdict: canary, apply, watch and reserve. `stages.py` gives the order of all stages."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

from django.db.models import QuerySet

from lealife.core.errors import Conflict
from lealife.pipeline.bell import read_queue_depth, ring
from promotion.applies import apply_canary
from promotion.canary import open_canary, settle_canary
from promotion.evaluation.arms import ArmTools
from promotion.evaluation.reserve import is_measuring, measure_next
from promotion.gate.harm import CanaryVerdict
from promotion.holdback import is_watched
from promotion.models import Canary, Evaluation, Watch
from promotion.watches import find_red_applies, may_roll_back, roll_back_red, settle_watch
from training.models import Run
from training.runtime_settings import read_settings

log = logging.getLogger(__name__)


def is_canary_ready(now: datetime) -> bool:
    """Whether a canary is open, or may be opened."""
    return Canary.objects.filter(state=Canary.State.OPEN).exists() or _find_promoted() is not None


def work_canary(now: datetime) -> bool:
    """Opens the canary of a promoted candidate, or judges the open one; True when it opened one."""
    waiting = _find_promoted()
    if waiting is not None:
        open_canary(evaluation_id=waiting.pk, now=now)
        return True
    for canary in Canary.objects.filter(state=Canary.State.OPEN).order_by("id"):
        if settle_canary(canary_id=canary.pk, now=now).verdict is CanaryVerdict.PASS:
            ring("apply")
    return False


def is_apply_ready(now: datetime) -> bool:
    """Whether a canary has passed and is not applied."""
    return _passed_canaries().exists()


def work_apply(now: datetime) -> bool:
    """Applies one passed canary."""
    canary = _passed_canaries().first()
    if canary is None:
        return False
    try:
        apply_canary(canary_id=canary.pk, now=now)
    except Conflict as error:
        log.info("%s", error)
        return False
    return True


def is_watch_ready(now: datetime) -> bool:
    """Whether a live apply is under watch, or has a red proof for which it may be rolled back."""
    return _open_watches().exists() or (may_roll_back() and bool(find_red_applies()))


def work_watch(now: datetime) -> bool:
    """Judges every open watch and checks the proof; True when it rolled back an apply because its proof is red."""
    for watch in _open_watches():
        settle_watch(watch_id=watch.pk, now=now)
    return bool(roll_back_red())


def is_reserve_ready(now: datetime) -> bool:
    """Whether an apply is still to be measured on the reserve, and nothing of a higher rank is under way."""
    return is_measuring() and not _is_other_work_open(now)


def work_reserve(now: datetime, *, tools: ArmTools) -> bool:
    """Runs one more reserve task; True when it did and no bell of another stage waits meanwhile.

    It gives way within one step of the agent: an arm that is under way is given up, and runs again later.
    """
    if not is_reserve_ready(now):
        return False
    given_way = replace(
        tools, should_stop=lambda: tools.should_stop() or ("cancelled" if _is_other_work_open(now) else None)
    )
    return measure_next(tools=given_way) and not read_queue_depth()


def _is_other_work_open(now: datetime) -> bool:
    """Whether a person waits for an answer, or an evaluation, a canary or an apply is under way."""
    asked = Run.objects.filter(lane__in=Run.QUESTION_LANES, status__in=(Run.Status.CLAIMED, Run.Status.RUNNING))
    if Run.objects.queued().exists() or asked.exists():
        return True
    if read_settings().promotion_hold:
        return False
    evaluating = Evaluation.every.filter(verdict=Evaluation.Verdict.PENDING)
    return evaluating.exists() or is_canary_ready(now) or is_apply_ready(now)


def _find_promoted() -> Evaluation | None:
    """A promoted candidate without a canary. It must wait while its role has an open canary or a watch."""
    promoted = Evaluation.objects.select_related("candidate").filter(
        verdict=Evaluation.Verdict.PROMOTE, canary=None, window__state="canary"
    )
    open_roles = set(Canary.objects.filter(state=Canary.State.OPEN).values_list("role", flat=True))
    for evaluation in promoted.order_by("pk"):
        if evaluation.candidate.role not in open_roles and not is_watched(evaluation.candidate.role):
            return evaluation
    return None


def _passed_canaries() -> QuerySet[Canary]:
    return Canary.objects.filter(state=Canary.State.PASSED, apply=None).order_by("id")


def _open_watches() -> QuerySet[Watch]:
    return Watch.objects.filter(state=Watch.State.OPEN).order_by("id")
