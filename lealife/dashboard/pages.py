"""The pages: each renders the same fragments that the socket pushes."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from lealife.dashboard.access import require_staff
from lealife.dashboard.forms import QueueForm, TaskForm
from lealife.dashboard.run_list import read_runs
from lealife.dashboard.snapshot import TTL_S, render_fragments, take_snapshot
from lealife.lib.errors import NotFound, Refused
from lealife.pipeline import ask


@require_safe
@require_staff
def show_home(request: HttpRequest) -> HttpResponse:
    """`/`: the dashboard."""
    return render_live(request, "dashboard.html", key="home")


@require_safe
@require_staff
def show_training(request: HttpRequest) -> HttpResponse:
    """`/training/`: the training page."""
    return render_training(request, form=QueueForm())


@require_safe
@require_staff
def show_run(request: HttpRequest, run_id: int) -> HttpResponse:
    """`/runs/{id}/`: one run's trajectory."""
    return render_live(request, "run.html", key=f"run-{run_id}", run_id=run_id)


@require_safe
@require_staff
def list_runs(request: HttpRequest) -> HttpResponse:
    """`/runs/`: all runs, by lane, older ones with `?before=`."""
    before = request.GET.get("before", "")
    number = int(before) if before.isascii() and before.isdecimal() and len(before) < 19 else None
    runs = read_runs(lane=request.GET.get("lane", ""), before=number)
    return render(request, "runs.html", {"runs": runs})


@require_http_methods(["GET", "HEAD", "POST"])
@require_staff
def make_task(request: HttpRequest) -> HttpResponse:
    """`/tasks/new/`: a standard task, answered with the active tags and everything learned so far."""
    form = TaskForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            run = ask(**form.read_task(), by=request.user.get_username())
        except Refused as refused:
            form.add_refusal(refused)
        else:
            messages.success(request, f"Run {run.pk} is queued.")
            return redirect("run", run_id=run.pk)
    return render(request, "task_new.html", {"form": form}, status=422 if form.errors else 200)


def render_training(request: HttpRequest, *, form: QueueForm, status: int = 200) -> HttpResponse:
    """The training page with the queue form as it stands."""
    return render_live(request, "training.html", key="training", status=status, form=form)


def render_live(request: HttpRequest, template: str, *, key: str, status: int = 200, **context: Any) -> HttpResponse:
    """A page with a fresh snapshot of `key`: whoever just changed something sees it."""
    try:
        snapshot = take_snapshot(key, now=timezone.now())
    except NotFound as error:
        raise Http404(str(error)) from error
    live = {"snapshot": snapshot, "fragments": render_fragments(snapshot), "ttl_s": TTL_S, "page_key": key}
    response = render(request, template, {**context, **live}, status=status)
    response["Cache-Control"] = "no-store"
    return response
