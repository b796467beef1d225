"""Views of runs beside the live page: the list, the question form, the frozen pages and the verbs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from csp.decorators import csp_replace
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from lealife.core.actors import Action, Actor, read_actor
from lealife.core.errors import InvalidInput, NotFound, Refused
from lealife.dashboard.access import require_action, require_post, require_staff
from lealife.dashboard.ask.panel import read_like, read_task_page
from lealife.dashboard.forms import TaskForm
from lealife.dashboard.live.snapshot import ID_DIGITS
from lealife.dashboard.pages import read_before
from lealife.dashboard.runs.forms import TrainForm, VerdictForm
from lealife.dashboard.runs.frozen_page import read_frozen_page
from lealife.dashboard.runs.listing import LOOK, RunFilter, read_runs
from lealife.pipeline.launching import ask
from lealife.run_actions import judge_run, repeat_run, train_on_run

ORIGIN = "page"
NOTHING = ["'none'"]


@require_safe
@require_staff
def list_runs(request: HttpRequest) -> HttpResponse:
    """`/runs/`: runs by lane, status, host, tag and words of their question; older ones with `?before=`."""
    runs = read_runs(chosen=RunFilter.from_query(request.GET), before=read_before(request))
    return render(request, "runs.html", {"runs": runs, "look": LOOK})


@require_http_methods(["GET", "HEAD", "POST"])
@require_staff
def make_task(request: HttpRequest) -> HttpResponse:
    """`/tasks/new/`: a standard task, answered with the active tags and all that was learned; `?like=` a run."""
    if request.method == "POST":
        require_action(request, ask)
    form = TaskForm(request.POST) if request.method == "POST" else TaskForm(initial=read_initial(request))
    if request.method == "POST" and form.is_valid():
        try:
            run = ask(**form.read_task(), by=read_actor(request))
        except Refused as refused:
            form.add_refusal(refused)
        else:
            messages.success(request, f"Run {run.pk} is queued.")
            return redirect("run", run_id=run.pk)
    context = {"form": form, "page": read_task_page()}
    return render(request, "task_new.html", context, status=422 if form.errors else 200)


def read_initial(request: HttpRequest) -> dict[str, Any]:
    """What the form begins with: the task of the run that the address names, and the host that it names."""
    like = request.GET.get("like", "")
    host = request.GET.get("host", "")
    named = {"host": host} if host.isascii() and host.isdecimal() and len(host) <= ID_DIGITS else {}
    if not (like.isascii() and like.isdecimal() and len(like) <= ID_DIGITS):
        return named
    try:
        return read_like(int(like)) | named
    except NotFound as error:
        raise Http404(str(error)) from error


# Words of a stranger's page: whatever they hold, nothing on this page may run, load or connect.
@csp_replace({"default-src": NOTHING, "script-src": NOTHING, "connect-src": NOTHING, "img-src": ["'self'"]})
@require_safe
@require_staff
def show_frozen_page(request: HttpRequest, run_id: int, digest: str) -> HttpResponse:
    """`/runs/{id}/pages/{digest}/`: a page as the run saw it."""
    try:
        page = read_frozen_page(run_id=run_id, digest=digest)
    except NotFound as error:
        raise Http404(str(error)) from error
    return render(request, "frozen_page.html", {"page": page})


@require_post
@require_staff
def act_on_run(request: HttpRequest, run_id: int, verb: str) -> HttpResponse:
    """Repeats a run, makes a training source of it, or stores a verdict on it."""
    if verb not in VERBS:
        raise Http404(f"There is no verb {verb}.")
    action, act = VERBS[verb]
    by = require_action(request, action)
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
    """Asks again; leads to the new run."""
    again = repeat_run(run_id=run_id, by=by, origin=ORIGIN)
    return again.pk, f"Run {again.pk} is queued: the same task as run {run_id}, with today's tags and memory."


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
        raise InvalidInput("Say yes or no.")
    right = form.cleaned_data["right"] == "yes"
    judge_run(run_id=run_id, right=right, note=form.cleaned_data["note"], by=by, origin=ORIGIN)
    return run_id, f"Noted: the answer of run {run_id} is {'right' if right else 'wrong'}."


VERBS: dict[str, tuple[Action[..., Any], Callable[[HttpRequest, int, Actor], tuple[int, str]]]] = {
    "repeat": (repeat_run, repeat),
    "train": (train_on_run, train),
    "judge": (judge_run, judge),
}
