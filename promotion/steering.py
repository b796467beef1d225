"""Steering: an operator's actions on promotion. One audited function per action, for page, API, admin and command."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils import timezone

from lealife.core.actors import Actor, requires
from lealife.core.announce import announce
from lealife.core.errors import GateRefused
from promotion.candidates.windows import count_attempts, current_window, name_counted
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
    """Holds promotion: no candidate is evaluated, tried or applied. Raises GateRefused when it is already on hold."""
    return _set_hold(True, by=by, origin=origin, details={"reason": reason} if reason else {})


@requires("promotion.hold_promotion")
def resume_promotion(*, by: Actor, origin: str) -> RuntimeSettings:
    """Resumes promotion where it was held. Raises GateRefused when it is not on hold."""
    return _set_hold(False, by=by, origin=origin, details={})


def _set_hold(hold: bool, *, by: Actor, origin: str, details: dict[str, str]) -> RuntimeSettings:
    read_settings()
    with transaction.atomic():
        # Lock before reading: when two people press at once, the second is refused.
        if RuntimeSettings.objects.select_for_update().get(id=1).promotion_hold == hold:
            raise GateRefused("Promotion is already on hold." if hold else "Promotion is not on hold.")
        row = write_settings(changes={"promotion_hold": hold}, version=None, by=by, origin=origin)
        action = "hold promotion" if hold else "resume promotion"
        record_audit(actor=by, origin=origin, action=action, details=details)
        announce("promotion")
    return row


@requires("promotion.evaluate_now")
def evaluate_now(*, by: Actor, origin: str) -> PromotionWindow:
    """Collecting → building with the successes so far, even if they are fewer than the window needs.

    The window shrinks to the successes that it has, and the next one starts there. Raises GateRefused on hold, when
    the window no longer collects, and when it has no success to learn from.
    """
    settings = read_settings()
    if settings.promotion_hold:
        raise GateRefused(ON_HOLD)
    window, counts = current_window(), read_counters()
    if window.state != State.COLLECTING:
        raise GateRefused(f"Window {window.number} no longer collects outcomes: it is {window.state}.")
    successes = min(window.size, counts["ingested.counted"] - window.watermark)
    if successes < 1:
        counted = name_counted(counts, row=settings)
        raise GateRefused(f"Window {window.number} has no {counted} success yet: there is nothing to learn from.")
    wanted, window.size = window.size, successes
    with transaction.atomic():
        moved = PromotionWindow.objects.filter(pk=window.pk, state=State.COLLECTING, size=wanted).update(
            state=State.BUILDING,
            reached_at=timezone.now(),
            size=successes,
            attempts=count_attempts(window, counts=counts),
        )
        if not moved:
            raise GateRefused(f"Window {window.number} has changed in the meantime.")
        told = {"successes": successes, "wanted": wanted}
        record_audit(actor=by, origin=origin, action="evaluate now", subject=str(window), details=told)
        announce("promotion")
    window.refresh_from_db()
    return window


@requires("promotion.drill_gate")
def request_drill(*, by: Actor, origin: str) -> tuple[GateDrill, ...]:
    """Requests a drill of the gate: an identical clone and a sabotaged copy of the active controller tag.

    Raises GateRefused on hold, while another drill has not ended, and before there is an active tag.
    """
    if read_settings().promotion_hold:
        raise GateRefused(ON_HOLD)
    if read_routing().controller is None:
        raise GateRefused("There is no active controller tag yet, so the gate cannot be drilled.")
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
