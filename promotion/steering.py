"""Steering: what an operator may do with promotion. One function an action, whoever asks, each with its trace."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils import timezone

from lealife.core.actors import Actor, requires
from lealife.core.announce import announce
from lealife.core.errors import GateRefused
from promotion.candidates.windows import count_attempts, current_window
from promotion.models import GateDrill, PromotionWindow, Role
from promotion.routing import read_routing
from training.audit import record_audit
from training.counters import read_counters
from training.models import RuntimeSettings
from training.runtime_settings import read_settings, write_settings

State = PromotionWindow.State
ON_HOLD = "Promotion is on hold: resume it first."


@requires("promotion.hold_promotion")
def hold_promotion(*, by: Actor, origin: str, reason: str = "") -> RuntimeSettings:
    """Nothing is evaluated, tried or applied until promotion is resumed. Raises GateRefused when it is held already."""
    return _set_hold(True, by=by, origin=origin, details={"reason": reason} if reason else {})


@requires("promotion.hold_promotion")
def resume_promotion(*, by: Actor, origin: str) -> RuntimeSettings:
    """Promotion goes on where it was held. Raises GateRefused when it is not on hold."""
    return _set_hold(False, by=by, origin=origin, details={})


def _set_hold(hold: bool, *, by: Actor, origin: str, details: dict[str, str]) -> RuntimeSettings:
    read_settings()
    with transaction.atomic():
        # Locked before it is looked at, so that of two who press at once one is told that it was done.
        if RuntimeSettings.objects.select_for_update().get(id=1).promotion_hold == hold:
            raise GateRefused("Promotion is on hold already." if hold else "Promotion is not on hold.")
        row = write_settings(changes={"promotion_hold": hold}, version=None, by=by, origin=origin)
        action = "hold promotion" if hold else "resume promotion"
        record_audit(actor=by, origin=origin, action=action, details=details)
        announce("promotion")
    return row


@requires("promotion.evaluate_now")
def evaluate_now(*, by: Actor, origin: str) -> PromotionWindow:
    """Collecting → building with the successes there are, be they fewer than the window wants.

    The window shrinks to what it has, and the next one begins there. Raises GateRefused on hold, past collecting,
    and when the window has no success to learn from.
    """
    if read_settings().promotion_hold:
        raise GateRefused(ON_HOLD)
    window, counts = current_window(), read_counters()
    if window.state != State.COLLECTING:
        raise GateRefused(f"Window {window.number} is past collecting: it is {window.state}.")
    successes = min(window.size, counts["ingested.success"] - window.watermark)
    if successes < 1:
        raise GateRefused(f"Window {window.number} has no ingested success yet: there is nothing to learn from.")
    wanted, window.size = window.size, successes
    with transaction.atomic():
        moved = PromotionWindow.objects.filter(pk=window.pk, state=State.COLLECTING, size=wanted).update(
            state=State.BUILDING,
            reached_at=timezone.now(),
            size=successes,
            attempts=count_attempts(window, counts=counts),
        )
        if not moved:
            raise GateRefused(f"Window {window.number} moved on meanwhile.")
        told = {"successes": successes, "wanted": wanted}
        record_audit(actor=by, origin=origin, action="evaluate now", subject=str(window), details=told)
        announce("promotion")
    window.refresh_from_db()
    return window


@requires("promotion.drill_gate")
def request_drill(*, by: Actor, origin: str) -> tuple[GateDrill, ...]:
    """Asks for a drill of the gate: an identical clone and a sabotaged copy of the active controller tag.

    Raises GateRefused on hold, while another drill has not ended, and before there is an active tag.
    """
    if read_settings().promotion_hold:
        raise GateRefused(ON_HOLD)
    if read_routing().controller is None:
        raise GateRefused("There is no active controller tag to drill the gate with yet.")
    if (open_drill := GateDrill.objects.open().first()) is not None:
        raise GateRefused(f"Drill {open_drill.pk} ({open_drill.get_kind_display()}) has not ended yet.")
    try:
        with transaction.atomic():
            drills = tuple(
                GateDrill.objects.create(kind=kind, role=Role.CONTROLLER, requested_by=by.name)
                for kind in GateDrill.Kind
            )
            subject = ", ".join(str(drill) for drill in drills)
            record_audit(actor=by, origin=origin, action="request gate drill", subject=subject)
            announce("promotion")
    except IntegrityError:
        raise GateRefused("Another drill has just been requested.") from None
    return drills
