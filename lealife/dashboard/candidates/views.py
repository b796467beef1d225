"""Views of promotion: a candidate's evidence, and the operators' actions, each with a page that first explains it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from lealife.core.actors import Action, Actor
from lealife.core.errors import NotFound, Refused
from lealife.dashboard.access import find_action, require_action, require_staff
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
class Button:
    """One button: its label, the explanation, the action and the sentence when it is done.

    `takes` names what the user chose or entered that the action is given; `undo` is the live apply that they saw.
    """

    label: str
    will: str
    action: Action[..., Any]
    done: str
    takes: tuple[str, ...] = ()

    @property
    def wants_reason(self) -> bool:
        """Whether the user is asked for a reason."""
        return "reason" in self.takes

    def act(self, *, by: Actor, role: str, reason: str, undo: int | None = None) -> None:
        """Calls the action with what it takes. Raises Refused."""
        given = {"role": role, "reason": reason, "undo": undo}
        self.action(by=by, origin=ORIGIN, **{name: given[name] for name in self.takes})


BUTTONS = {
    "hold": Button(
        label="Hold promotion",
        will="Until someone resumes promotion, no window advances and no candidate is evaluated, tried or applied. "
        "Training continues, the tags that serve now keep serving, and the evidence gathered so far is kept.",
        action=hold_promotion,
        done="Promotion is on hold.",
        takes=("reason",),
    ),
    "resume": Button(
        label="Resume promotion",
        will="Promotion continues where it was held: an open evaluation runs its next pair, and an open canary is "
        "judged again.",
        action=resume_promotion,
        done="Promotion has resumed.",
    ),
    "evaluate-now": Button(
        label="Evaluate now",
        will="The window closes with the successes that it has. A candidate is built from what was learned and is "
        "evaluated. The gate demands as much evidence as always, and this candidate uses its share of the lifetime "
        "error budget.",
        action=evaluate_now,
        done="The window was closed early. Next, a candidate is built.",
    ),
    "drill": Button(
        label="Drill the gate",
        will="An identical clone and a sabotaged copy of the active controller tag go through the gate, which does not "
        "know that they are a test. Neither can ever serve. The page counts the gate's wrong verdicts.",
        action=request_drill,
        done="The drill is requested.",
    ),
    "abort-canary": Button(
        label="Abort the canary",
        will="The candidate is rejected and serves no further run. The active tag serves all runs again. The window "
        "closes, and the next one starts to collect outcomes.",
        action=abort_open_canary,
        done="The canary is aborted.",
        takes=("role", "reason"),
    ),
    "roll-back": Button(
        label="Roll back",
        will="The tag that served before the last switch becomes active again, as a new live apply. It serves from the "
        "next run on; runs in flight finish with the tag that they started with. The proof is amber until three live "
        "outcomes carry its digest.",
        action=roll_back,
        done="Rolled back. The previous tag serves from the next run on.",
        takes=("role", "reason", "undo"),
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
    chosen = find_action(BUTTONS, action)
    by = require_action(request, chosen.action)
    given = request.POST if request.method == "POST" else request.GET
    role = given.get("role", Role.CONTROLLER)
    if role not in Role.values:
        raise NotFound(f"There is no role {role[:20]}.")
    if request.method == "POST":
        reason = request.POST.get("reason", "")[:REASON_MAX].strip()
        try:
            chosen.act(by=by, role=role, reason=reason, undo=read_number(request.POST.get("undo", "")))
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
        "why_not": _rehearse(chosen, by=by, role=role),
    }
    return render(request, "candidates/confirm.html", context)


def _rehearse(button: Button, *, by: Actor, role: str) -> str:
    """Why the action would be refused now; empty when it would not. Calls the action and rolls its changes back."""
    with transaction.atomic():
        try:
            button.act(by=by, role=role, reason="rehearsed")
        except Refused as refused:
            return str(refused)
        finally:
            transaction.set_rollback(True)
    return ""
