"""The stages after a verdict: canary, apply and watch. `stages.py` gives the order of all stages."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db.models import QuerySet

from lealife.core.errors import Conflict
from lealife.pipeline.bell import ring
from promotion.applies import apply_canary
from promotion.canary import open_canary, settle_canary
from promotion.gate.harm import CanaryVerdict
from promotion.holdback import is_watched
from promotion.models import Canary, Evaluation, Watch
from promotion.watches import find_red_applies, may_roll_back, roll_back_red, settle_watch
from training.runtime_settings import read_settings

log = logging.getLogger(__name__)


def is_canary_ready(now: datetime) -> bool:
    """Whether a canary is open, or may be opened."""
    return Canary.objects.filter(state=Canary.State.OPEN).exists() or _find_promoted() is not None


def work_canary(now: datetime) -> bool:
    """Opens the canary of a promoted candidate, or judges the open one; True when it opened one."""
    if read_settings().promotion_hold:
        return False
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
    if canary is None or read_settings().promotion_hold:
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
