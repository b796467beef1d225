"""Views of the form for a new question, and of its success check in words."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from lealife.core.actors import read_actor
from lealife.core.errors import Refused
from lealife.dashboard.access import require_action, require_post, require_staff
from lealife.dashboard.ask.panel import read_like, read_task_page
from lealife.dashboard.forms import QueueForm, TaskForm
from lealife.dashboard.numbers import read_number
from lealife.dashboard.training.views import render_training
from lealife.pipeline.launching import ask


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
    return render(request, "ask/page.html", context, status=422 if form.errors else 200)


def read_initial(request: HttpRequest) -> dict[str, Any]:
    """The form's initial values: the task of the run and the host that the address names."""
    like = read_number(request.GET.get("like", ""))
    host = read_number(request.GET.get("host", ""))
    named = {"host": host} if host else {}
    return (read_like(like) if like else {}) | named


@require_post
@require_staff
def say_check(request: HttpRequest) -> HttpResponse:
    """Queues nothing. A script gets only the check's sentences, a browser without scripts the page as typed."""
    form = QueueForm(request.POST)
    if request.headers.get("X-Fragment") == "check-words":
        return render(request, "ask/check_words.html", {"form": form})
    return render_training(request, form=form)
