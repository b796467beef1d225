"""Views of runs: the list, one run, the pages that it read, and the actions on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from csp.decorators import csp_replace
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from lealife.core.actors import Action, Actor
from lealife.core.errors import InvalidInput, NotFound, Refused
from lealife.dashboard.access import require_action, require_post, require_staff
from lealife.dashboard.live.page import render_live
from lealife.dashboard.numbers import read_number
from lealife.dashboard.runs.forms import TrainForm, VerdictForm
from lealife.dashboard.runs.frozen_page import read_frozen_page
from lealife.dashboard.runs.listing import LOOK, RunFilter, read_runs
from lealife.run_actions import judge_run, repeat_run, train_on_run

ORIGIN = "page"
NOTHING = ["'none'"]


@require_safe
@require_staff
def list_runs(request: HttpRequest) -> HttpResponse:
    """`/runs/`: runs by lane, status, host, tag and words of their question; older ones with `?before=`."""
    before = read_number(request.GET.get("before", ""))
    runs = read_runs(chosen=RunFilter.from_query(request.GET), before=before)
    return render(request, "runs/list.html", {"runs": runs, "look": LOOK})


@require_safe
@require_staff
def show_run(request: HttpRequest, run_id: int) -> HttpResponse:
    """`/runs/{id}/`: one run's trajectory."""
    return render_live(request, "runs/page.html", key=f"run-{run_id}", run_id=run_id)


# The text comes from another website, so nothing on this page may run, load or connect.
@csp_replace({"default-src": NOTHING, "script-src": NOTHING, "connect-src": NOTHING, "img-src": ["'self'"]})
@require_safe
@require_staff
def show_frozen_page(request: HttpRequest, run_id: int, digest: str) -> HttpResponse:
    """`/runs/{id}/pages/{digest}/`: a page as the run saw it."""
    try:
        page = read_frozen_page(run_id=run_id, digest=digest)
    except NotFound as error:
        raise Http404(str(error)) from error
    return render(request, "runs/frozen_page.html", {"page": page})


@require_post
@require_staff
def act_on_run(request: HttpRequest, run_id: int, action: str) -> HttpResponse:
    """Repeats a run, makes a training source of it, or stores a verdict on it."""
    if action not in ACTIONS:
        raise Http404(f"There is no action {action}.")
    needed, act = ACTIONS[action]
    by = require_action(request, needed)
    try:
        leads_to, sentence = act(request, run_id, by)
    except NotFound as error:
        raise Http404(str(error)) from error
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect("run", run_id=run_id)
    messages.success(request, sentence)
    return redirect("run", run_id=leads_to)


def repeat(request: HttpRequest, run_id: int, by: Actor) -> tuple[int, str]:
    """Queues the task again and redirects to the new run."""
    again = repeat_run(run_id=run_id, by=by, origin=ORIGIN)
    return again.pk, f"Run {again.pk} is queued. It does the same task as run {run_id}, with today's tags and memory."


def train(request: HttpRequest, run_id: int, by: Actor) -> tuple[int, str]:
    """Queues the task for training."""
    form = TrainForm(request.POST)
    if not form.is_valid():
        raise InvalidInput("The expected addresses are too long.")
    source = train_on_run(run_id=run_id, check_spec=form.read_check(), by=by, origin=ORIGIN)
    return run_id, f"Training source {source.pk} is queued: {source.title}."


def judge(request: HttpRequest, run_id: int, by: Actor) -> tuple[int, str]:
    """Stores a verdict."""
    form = VerdictForm(request.POST)
    if not form.is_valid():
        raise InvalidInput("Choose yes or no.")
    right = form.cleaned_data["right"] == "yes"
    judge_run(run_id=run_id, right=right, note=form.cleaned_data["note"], by=by, origin=ORIGIN)
    return run_id, f"Noted: the answer of run {run_id} is {'right' if right else 'wrong'}."


ACTIONS: dict[str, tuple[Action[..., Any], Callable[[HttpRequest, int, Actor], tuple[int, str]]]] = {
    "repeat": (repeat_run, repeat),
    "train": (train_on_run, train),
    "judge": (judge_run, judge),
}
