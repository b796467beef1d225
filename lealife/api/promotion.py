"""Promotion: the proof of what is live, and the way back."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router

from lealife.api.responses import declare_responses
from lealife.api.schemas import LiveApplyOut, RollBackIn
from lealife.auth import require_scope
from lealife.dashboard.proof_panel import ProofPanel, build_proof_panel
from lealife.dashboard.readings import take_readings
from promotion.applies import roll_back

router = Router(tags=["models"])


@router.get("/proof", response=declare_responses(200, ProofPanel))
def read_proof(request: HttpRequest) -> ProofPanel:
    """The panel Model Update Proof: what is live, is it proven, what happens next."""
    return build_proof_panel(take_readings(now=timezone.now()))


@router.post(
    "/actions/roll-back/",
    response=declare_responses(200, LiveApplyOut, 404, 409),
    auth=require_scope("admin"),
)
def roll_back_role(request: HttpRequest, body: RollBackIn) -> LiveApplyOut:
    """Puts a role back on the tag that served before, as a new live apply."""
    apply = roll_back(role=body.role.value, by=str(request.auth), reason=body.reason, origin="api")
    apply.refresh_from_db()
    return LiveApplyOut(
        id=apply.pk,
        role=apply.role,
        from_tag=apply.from_tag.name if apply.from_tag else None,
        to_tag=apply.to_tag.name,
        to_digest=apply.to_digest,
        applied_by=apply.applied_by,
        reason=apply.reason,
        applied_at=apply.applied_at,
    )
