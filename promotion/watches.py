"""Watches: automatic roll backs, when harm is found after a live apply or when its proof turns red.

Each apply is rolled back at most once: a roll back is refused when its apply is no longer the last switch.
"""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import transaction

from lealife.core.actors import system
from lealife.core.announce import announce
from lealife.core.errors import Conflict, GateRefused
from promotion.applies import lock_role, roll_back
from promotion.gate.harm import WatchDecision, WatchVerdict, judge_watch
from promotion.holdback import count_watched
from promotion.models import LiveApply, Watch
from promotion.proof.bundle_watches import AUTOMATIC, STATES
from promotion.proof.served import RED, RoleProof, read_last_applies, read_served_proof
from training.runtime_settings import read_settings

log = logging.getLogger(__name__)
BY, ORIGIN = system("gate"), "pipeline"


def settle_watch(*, watch_id: int, now: datetime) -> WatchDecision:
    """Counts both arms, asks the guardrail, and ends the watch when it has a verdict.

    When harm is found, the apply is rolled back in the same transaction, if the setting allows it and promotion is not
    on hold. Otherwise the harmed watch, whose apply still serves, is the proposal to roll back.
    """
    role = Watch.objects.values_list("role", flat=True).get(pk=watch_id)
    with transaction.atomic():
        # Lock the role before the row: switches lock in the same order, which avoids deadlocks.
        lock_role(role)
        watch = Watch.objects.select_for_update(of=("self",)).select_related("apply").get(pk=watch_id)
        counts = count_watched(watch_id)
        decision = judge_watch(
            applied=(counts["applied_successes"], counts["applied_observations"]),
            held=(counts["held_successes"], counts["held_observations"]),
            elapsed_s=(now - watch.opened_at).total_seconds(),
            deadline_s=(watch.deadline_at - watch.opened_at).total_seconds(),
            wanted_observations=watch.wanted_observations,
        )
        if watch.state != Watch.State.OPEN:
            return decision
        closing = {"state": STATES[decision.verdict], "closed_at": now} if decision.verdict in STATES else {}
        Watch.objects.filter(pk=watch_id, state=Watch.State.OPEN).update(
            reason=decision.reason, e_harm=decision.e_harm, **counts, **closing
        )
        if decision.verdict is WatchVerdict.HARM and may_roll_back():
            roll_back(role=role, by=BY, origin=ORIGIN, reason=f"{AUTOMATIC}{decision.reason}", undo=watch.apply_id)
        announce("promotion")
        return decision


def may_roll_back() -> bool:
    """Whether LeaLife may roll back by itself now; during a hold it may not."""
    row = read_settings()
    return row.auto_rollback and not row.promotion_hold


def find_red_applies() -> list[tuple[LiveApply, RoleProof]]:
    """Applies made by the gate that serve now and have a red proof. One query when the last switches are roll backs."""
    applies = read_last_applies()
    ours = {role: apply for role, apply in applies.items() if apply.canary_id is not None and apply.from_tag_id}
    if not ours:
        return []
    return [
        (ours[proof.role], proof)
        for proof in read_served_proof(applies=applies).roles
        if proof.state == RED and proof.role in ours
    ]


def roll_back_red() -> list[LiveApply]:
    """Rolls back each apply when another digest served a live outcome than the applied one; returns the roll backs."""
    done = []
    for apply, proof in find_red_applies() if may_roll_back() else []:
        try:
            done.append(
                roll_back(role=apply.role, by=BY, origin=ORIGIN, reason=f"{AUTOMATIC}{proof.sentence}", undo=apply.pk)
            )
        except (Conflict, GateRefused) as refused:
            log.info("not rolled back: %s", refused)
    return done
