"""Views of runs: the list, one run, the pages that it read, and the actions on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from csp.decorators import csp_replace
from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from lealife.core.actors import Action, Actor
from lealife.core.errors import InvalidInput, NotFound, Refused
from lealife.dashboard.access import find_action, require_action, require_post, require_staff
from lealife.dashboard.live.views import render_live
from lealife.dashboard.numbers import read_number
from lealife.dashboard.runs.frozen_page import read_frozen_page
from lealife.dashboard.runs.listing import LOOK, RunFilter, read_runs
from lealife.run_actions import judge_run, repeat_run, train_on_run

ORIGIN = "page"
NOTHING = ["'none'"]
# What was typed into the form of a refused verdict is kept in the session under this name, until the page is shown.
TYPED = "refused_verdict"
# Characters of each field that are kept: more than any of them may have.
TYPED_MAX = 4_000


class VerdictForm(forms.Form):
    """“Was this right?”"""

    right = forms.ChoiceField(choices=[("yes", "yes"), ("no", "no")])
    note = forms.CharField(required=False)
    right_url = forms.CharField(required=False)
    right_text = forms.CharField(required=False)


class TrainForm(forms.Form):
    """The check of a training source made of a run; the fields are missing when the run has a check of its own."""

    expected_urls = forms.CharField(required=False, max_length=100_000)
    expected_text = forms.CharField(required=False)

    def read_check(self) -> dict[str, Any] | None:
        """The check as the action takes it; None when the form did not ask for one."""
        if "expected_text" not in self.data:
            return None
        urls = self.cleaned_data["expected_urls"].split()
        text = self.cleaned_data["expected_text"].strip()
        return {name: value for name, value in (("expected_urls", urls), ("expected_text", text)) if value}


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
    kept = request.session.pop(TYPED, None)
    typed = kept["fields"] if kept and kept["run"] == run_id else None
    return render_live(request, "runs/page.html", key=f"run-{run_id}", typed=typed, run_id=run_id)


# The text comes from another website, so nothing on this page may run, load or connect.
@csp_replace({"default-src": NOTHING, "script-src": NOTHING, "connect-src": NOTHING, "img-src": ["'self'"]})
@require_safe
@require_staff
def show_frozen_page(request: HttpRequest, run_id: int, digest: str) -> HttpResponse:
    """`/runs/{id}/pages/{digest}/`: a page as the run saw it."""
    return render(request, "runs/frozen_page.html", {"page": read_frozen_page(run_id=run_id, digest=digest)})


@require_post
@require_staff
def act_on_run(request: HttpRequest, run_id: int, action: str) -> HttpResponse:
    """Repeats a run, makes a training source of it, or stores a verdict on it."""
    needed, act = find_action(ACTIONS, action)
    by = require_action(request, needed)
    try:
        leads_to, sentence = act(request, run_id, by)
    except NotFound:
        raise
    except Refused as refused:
        typed = {name: request.POST.get(name, "")[:TYPED_MAX] for name in ("note", "right_url", "right_text")}
        if act is judge and any(typed.values()):
            request.session[TYPED] = {"run": run_id, "fields": typed}
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
    right = form.cleaned_data.pop("right") == "yes"
    judge_run(run_id=run_id, right=right, by=by, origin=ORIGIN, **form.cleaned_data)
    return run_id, f"Noted: the answer of run {run_id} is {'right' if right else 'wrong'}."


ACTIONS: dict[str, tuple[Action[..., Any], Callable[[HttpRequest, int, Actor], tuple[int, str]]]] = {
    "repeat": (repeat_run, repeat),
    "train": (train_on_run, train),
    "judge": (judge_run, judge),
}
