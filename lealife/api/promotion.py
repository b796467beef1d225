"""Promotion: the proof of what is live, rollback, and the other actions that steer it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router

from lealife.api.schemas import DrillOut, HoldIn, LiveApplyOut, RollBackIn, SteeringOut, declare_responses, fill_schema
from lealife.api.status_schemas import ProofOut
from lealife.auth import ActorRequest, allow
from lealife.dashboard.live.snapshot import fingerprint_panel
from lealife.dashboard.readings import take_readings
from lealife.dashboard.training.proof import ProofPanel, build_proof_panel
from promotion.applies import roll_back
from promotion.candidates.windows import read_window
from promotion.evaluation.drills import DrillReport, read_drills
from promotion.steering import evaluate_now, hold_promotion, request_drill, resume_promotion
from training.runtime_settings import read_settings

router = Router(tags=["models"])
ORIGIN = "api"


@router.get("/proof", response=declare_responses(200, ProofOut))
def read_proof(request: HttpRequest, response: HttpResponse) -> ProofPanel:
    """What is live, whether it is proven, and what promotion waits for."""
    panel = build_proof_panel(take_readings(now=timezone.now()))
    # Weak: two answers that differ only in their time count as the same.
    response["ETag"] = f'W/"{fingerprint_panel(panel)}"'
    return panel


@router.post(
    "/actions/roll-back/",
    response=declare_responses(200, LiveApplyOut, 404, 409),
    auth=allow(roll_back),
)
def roll_back_role(request: ActorRequest, body: RollBackIn) -> LiveApplyOut:
    """Makes the tag that served a role before the last switch active again, as a new live apply."""
    apply = roll_back(role=body.role.value, by=request.auth, reason=body.reason, origin=ORIGIN)
    apply.refresh_from_db()
    from_tag = apply.from_tag.name if apply.from_tag else None
    return fill_schema(LiveApplyOut, apply, from_tag=from_tag, to_tag=apply.to_tag.name)


@router.get("/drills", response=declare_responses(200, DrillReport))
def show_drills(request: HttpRequest) -> DrillReport:
    """The gate's own measured errors: its verdicts on tags whose quality was known in advance."""
    return read_drills()


@router.post("/actions/hold/", response=declare_responses(200, SteeringOut, 409), auth=allow(hold_promotion))
def hold(request: ActorRequest, body: HoldIn) -> SteeringOut:
    """Holds promotion: no candidate is evaluated, tried or applied until promotion is resumed."""
    hold_promotion(by=request.auth, origin=ORIGIN, reason=body.reason)
    return describe_steering()


@router.post("/actions/resume/", response=declare_responses(200, SteeringOut, 409), auth=allow(resume_promotion))
def resume(request: ActorRequest) -> SteeringOut:
    """Resumes promotion where it was held."""
    resume_promotion(by=request.auth, origin=ORIGIN)
    return describe_steering()


@router.post("/actions/evaluate-now/", response=declare_responses(200, SteeringOut, 409), auth=allow(evaluate_now))
def evaluate(request: ActorRequest) -> SteeringOut:
    """Closes the collecting window with the successes that it has, so that a candidate is built next."""
    evaluate_now(by=request.auth, origin=ORIGIN)
    return describe_steering()


@router.post("/actions/drill/", response=declare_responses(200, list[DrillOut], 409), auth=allow(request_drill))
def drill(request: ActorRequest) -> list[DrillOut]:
    """Requests a drill: an identical clone and a sabotaged copy of the active tag go through the gate."""
    drills = request_drill(by=request.auth, origin=ORIGIN)
    return [fill_schema(DrillOut, each) for each in drills]


def describe_steering() -> SteeringOut:
    """The state of promotion as JSON."""
    row = read_settings()
    window = read_window(row=row)
    return fill_schema(
        SteeringOut, window, on_hold=row.promotion_hold, window=window.number, successes=window.in_window
    )
