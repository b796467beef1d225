"""Live applies: switching the serving tag exactly once, and rolling back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Max
from django.utils import timezone

from lealife.core.actors import Actor, requires
from lealife.core.announce import announce
from lealife.core.errors import Conflict, GateRefused, NotFound
from lealife.core.transition import move
from promotion.canary import abort_canary, find_changes, lock_canaries
from promotion.candidates.windows import move_window
from promotion.evaluation.reserve import open_measurement
from promotion.holdback import end_watch, open_watch
from promotion.models import Canary, LiveApply, ModelTag, PromotionWindow, Role
from promotion.proof.bundle_rules import OVERTAKEN
from promotion.proof.bundle_watches import SWITCHED
from promotion.routing import read_routing
from training.audit import record_audit
from training.models import TrainingOutcome

# One lock per role: each switch must see the tag that the switch before it made active.
SWITCH_LOCK = 0x4C6553
State = PromotionWindow.State


def apply_canary(*, canary_id: int, now: datetime) -> LiveApply | None:
    """Switches routing to the candidate of a passed canary, in one transaction.

    None when the tag that it was measured against has been replaced since: then the canary is aborted.
    Raises GateRefused when the canary has not passed, Conflict when this decision has been applied already.
    """
    with transaction.atomic():
        canary = lock_canaries().get(pk=canary_id)
        if canary.state != Canary.State.PASSED:
            raise GateRefused(f"Canary {canary_id} is {canary.state}: only a passed canary may be applied.")
        if LiveApply.objects.filter(canary=canary).exists():
            raise Conflict(f"Canary {canary_id} has been applied already.")
        lock_role(canary.role)
        if changed := find_changes(canary):
            reason = f"{OVERTAKEN}{', '.join(changed)} changed since the evaluation."
            abort_canary(canary, expected=State.APPLYING, reason=reason, now=now)
            return None
        apply = _switch(
            to=canary.evaluation.candidate, role=canary.role, by="gate", reason=canary.reason, canary=canary
        )
        open_watch(apply=apply, now=apply.applied_at)
        open_measurement(apply=apply, beside=read_routing().other(canary.role))
        move_window(
            window_id=canary.evaluation.window_id,
            expected=State.APPLYING,
            to=State.APPLIED,
            now=now,
            reason=f"Applied live: {canary.reason}",
        )
        return apply


@requires("promotion.roll_back")
def roll_back(*, role: str, by: Actor, reason: str, origin: str = "api", undo: int | None = None) -> LiveApply:
    """Makes the tag before the last switch active again; it serves from the next run on.

    `undo` is the live apply that the caller wants to undo, if they saw one. When another switch has followed it, this
    raises Conflict. Raises NotFound for an unknown role, GateRefused when there is nothing to go back to.
    """
    if role not in Role.values:
        raise NotFound(f"There is no role {role!r}: it is {' or '.join(Role.values)}.", field="role")
    with transaction.atomic():
        lock_role(role)
        last = LiveApply.objects.filter(role=role).exclude(from_tag=F("to_tag")).order_by("-id").first()
        if last is None or last.from_tag is None:
            raise GateRefused(f"The {role} tag has never been switched: there is nothing to roll back to.")
        if undo not in (None, last.pk):
            raise Conflict(f"Live apply {undo} is no longer the last switch of the {role} tag: apply {last.pk} is.")
        if last.rolls_back_id is not None:
            raise GateRefused(f"The last switch of the {role} tag was itself a roll back.")
        said = reason or f"Rolled back by {by}."
        apply = _switch(to=last.from_tag, role=role, by=by.name, reason=said, rolls_back=last)
        record_audit(actor=by, origin=origin, action="roll back", subject=role, details={"to": last.from_tag.name})
        return apply


def switch_digest(*, tag: ModelTag, digest: str, by: str) -> LiveApply:
    """Registers the active tag's current digest: the name and recipe are the same, only the hash differs.

    Call it in a transaction, under the role's lock. Raises Conflict when the row has changed since it was read.
    """
    rows = ModelTag.objects.filter(pk=tag.pk, status=ModelTag.Status.ACTIVE, digest=tag.digest)
    move(rows, refused=f"{tag.name} is no longer the active {tag.role} tag under {tag.digest[:12]}.", digest=digest)
    reason = f"Adopted by {by}: the servers now compute another digest for the same content."
    return _record(
        role=tag.role,
        from_tag=tag,
        from_digest=tag.digest,
        to_tag=tag,
        to_digest=digest,
        applied_by=by,
        reason=reason,
    )


def lock_role(role: str) -> None:
    """Locks the switching and pruning of `role`'s tags until the caller's transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [SWITCH_LOCK, Role.values.index(role)])


def _switch(*, to: ModelTag, role: str, by: str, **grounds: Any) -> LiveApply:
    # Conditional unique constraints cannot be deferred, so retire the old row before activating the new one.
    old = ModelTag.objects.filter(role=role, status=ModelTag.Status.ACTIVE).first()
    if old is not None:
        ModelTag.objects.filter(pk=old.pk).update(status=ModelTag.Status.RETIRED)
    ModelTag.objects.filter(pk=to.pk).update(status=ModelTag.Status.ACTIVE)
    return _record(
        role=role,
        from_tag=old,
        from_digest=old.digest if old else "",
        to_tag=to,
        to_digest=to.digest,
        applied_by=by,
        **grounds,
    )


def _record(*, role: str, reason: str, **fields: Any) -> LiveApply:
    """The row of a switch, which ends the watch over the one before."""
    now = timezone.now()
    end_watch(role=role, reason=f"{SWITCHED}{reason}", now=now)
    last = TrainingOutcome.objects.aggregate(last=Max("id"))["last"]
    apply = LiveApply.objects.create(role=role, reason=reason, applied_at=now, after_outcome_id=last or 0, **fields)
    announce("promotion")
    return apply
