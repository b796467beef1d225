"""Views of promotion: a candidate's evidence, and the operators' actions, each with a page that first explains it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from lealife.core.actors import Action, Actor
from lealife.core.errors import NotFound, Refused
from lealife.dashboard.access import require_action, require_staff
from lealife.dashboard.candidates.panels import read_arms
from lealife.dashboard.live.views import render_live
from lealife.dashboard.numbers import read_number
from lealife.dashboard.training.actions import find_way_back
from promotion.applies import roll_back
from promotion.canary import abort_open_canary
from promotion.evaluation.drills import read_drills
from promotion.evaluation.evidence import read_pairs, read_trial
from promotion.models import Role
from promotion.proof.ledger import read_error_budget
from promotion.proof.served import read_last_applies
from promotion.steering import evaluate_now, hold_promotion, request_drill, resume_promotion

ORIGIN = "page"
REASON_MAX = 300


@dataclass(frozen=True, slots=True)
class Asked:
    """The user who pressed the button, and what they entered."""

    by: Actor
    reason: str
    role: str
    undo: int | None = None  # the live apply that was looked at


@dataclass(frozen=True, slots=True)
class Button:
    """One button: its label, the explanation, the action and the sentence when it is done."""

    label: str
    will: str
    needs: Action[..., Any]
    act: Callable[[Asked], object]
    done: str
    wants_reason: bool = False


BUTTONS = {
    "hold": Button(
        label="Hold promotion",
        will="Until someone resumes promotion, no window advances and no candidate is evaluated, tried or applied. "
        "Training continues, the tags that serve now keep serving, and the evidence gathered so far is kept.",
        needs=hold_promotion,
        act=lambda asked: hold_promotion(by=asked.by, origin=ORIGIN, reason=asked.reason),
        done="Promotion is on hold.",
        wants_reason=True,
    ),
    "resume": Button(
        label="Resume promotion",
        will="Promotion continues where it was held: an open evaluation runs its next pair, and an open canary is "
        "judged again.",
        needs=resume_promotion,
        act=lambda asked: resume_promotion(by=asked.by, origin=ORIGIN),
        done="Promotion has resumed.",
    ),
    "evaluate-now": Button(
        label="Evaluate now",
        will="The window closes with the successes that it has. A candidate is built from what was learned and is "
        "evaluated. The gate demands as much evidence as always, and this candidate uses its share of the lifetime "
        "error budget.",
        needs=evaluate_now,
        act=lambda asked: evaluate_now(by=asked.by, origin=ORIGIN),
        done="The window was closed early. Next, a candidate is built.",
    ),
    "drill": Button(
        label="Drill the gate",
        will="An identical clone and a sabotaged copy of the active controller tag go through the gate, which does not "
        "know that they are a test. Neither can ever serve. The page counts the gate's wrong verdicts.",
        needs=request_drill,
        act=lambda asked: request_drill(by=asked.by, origin=ORIGIN),
        done="The drill is requested.",
    ),
    "abort-canary": Button(
        label="Abort the canary",
        will="The candidate is rejected and serves no further run. The active tag serves all runs again. The window "
        "closes, and the next one starts to collect outcomes.",
        needs=abort_open_canary,
        act=lambda asked: abort_open_canary(by=asked.by, origin=ORIGIN, reason=asked.reason, role=asked.role),
        done="The canary is aborted.",
        wants_reason=True,
    ),
    "roll-back": Button(
        label="Roll back",
        will="The tag that served before the last switch becomes active again, as a new live apply. It serves from the "
        "next run on; runs in flight finish with the tag that they started with. The proof is amber until three live "
        "outcomes carry its digest.",
        needs=roll_back,
        act=lambda asked: roll_back(role=asked.role, by=asked.by, reason=asked.reason, origin=ORIGIN, undo=asked.undo),
        done="Rolled back. The previous tag serves from the next run on.",
        wants_reason=True,
    ),
}


@require_safe
@require_staff
def show_candidate(request: HttpRequest, evaluation_id: int) -> HttpResponse:
    """`/training/candidates/{id}/`: one evaluation; a task's trajectories with `?pair=`, every pair with `?all=1`."""
    number = read_number(request.GET.get("pair", ""))
    context: dict[str, object] = {"budget": read_error_budget(), "drills": read_drills()}
    if number or "all" in request.GET:
        trial = read_trial(evaluation_id)
        context["arms"] = read_arms(trial, number=number) if number else None
        context["all_pairs"] = read_pairs(trial) if "all" in request.GET else None
    return render_live(request, "candidates/page.html", key=f"candidate-{evaluation_id}", **context)


@require_http_methods(["GET", "HEAD", "POST"])
@require_staff
def steer(request: HttpRequest, action: str) -> HttpResponse:
    """`/training/promotion/{action}/`: GET explains what will happen, POST does it."""
    chosen = BUTTONS.get(action)
    if chosen is None:
        raise NotFound(f"There is no action {action}.")
    by = require_action(request, chosen.needs)
    given = request.POST if request.method == "POST" else request.GET
    role = given.get("role", Role.CONTROLLER)
    if role not in Role.values:
        raise NotFound(f"There is no role {role[:20]}.")
    if request.method == "POST":
        looked_at = read_number(request.POST.get("undo", ""))
        asked = Asked(by, request.POST.get("reason", "")[:REASON_MAX].strip(), role, looked_at)
        try:
            chosen.act(asked)
        except Refused as refused:
            messages.error(request, str(refused))
        else:
            messages.success(request, chosen.done)
        return redirect(find_way_back(given))
    context = {
        "button": chosen,
        "role": role,
        "next": find_way_back(given),
        "reason_max": REASON_MAX,
        "last": read_last_applies().get(role) if action == "roll-back" else None,
        "why_not": rehearse(chosen, Asked(by, "rehearsed", role)),
    }
    return render(request, "candidates/confirm.html", context)


def rehearse(button: Button, asked: Asked) -> str:
    """Why the action would be refused now; empty when it would not. Calls the action and rolls its changes back."""
    with transaction.atomic():
        try:
            button.act(asked)
        except Refused as refused:
            return str(refused)
        finally:
            transaction.set_rollback(True)
    return ""
