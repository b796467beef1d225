"""The pages: each renders the same fragments that the socket pushes."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from lealife.core.errors import NotFound
from lealife.dashboard.access import require_staff
from lealife.dashboard.forms import PresetForm, QueueForm
from lealife.dashboard.live.snapshot import ID_DIGITS, TTL_S, render_fragments, take_snapshot
from lealife.dashboard.offers import render_page
from lealife.dashboard.training.draft import describe_draft
from lealife.dashboard.training.sources import read_sources
from training.runtime_settings import read_settings


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
def list_sources(request: HttpRequest) -> HttpResponse:
    """`/training/sources/`: training sources by status and kind, older ones with `?before=`."""
    sources = read_sources(
        status=request.GET.get("status", ""), kind=request.GET.get("kind", ""), before=read_before(request)
    )
    return render_page(request, "sources.html", {"sources": sources})


def read_before(request: HttpRequest) -> int | None:
    """The id that a list continues below; None for its beginning and for nonsense."""
    before = request.GET.get("before", "")
    return int(before) if before.isascii() and before.isdecimal() and len(before) <= ID_DIGITS else None


def render_training(
    request: HttpRequest, *, form: QueueForm, presets: PresetForm | None = None, status: int = 200
) -> HttpResponse:
    """The training page with the forms as they stand, and this person's draft of the settings."""
    draft, selectors = describe_draft(request.session, row=read_settings())
    context = {"form": form, "presets": presets or PresetForm(), "draft": draft, "selectors": selectors}
    return render_live(request, "training.html", key="training", status=status, **context)


def render_draft(request: HttpRequest) -> HttpResponse:
    """The pending changes alone."""
    draft, _ = describe_draft(request.session, row=read_settings())
    return render(request, "parts/pending_changes.html", {"draft": draft})


def render_live(request: HttpRequest, template: str, *, key: str, status: int = 200, **context: Any) -> HttpResponse:
    """A page with a fresh snapshot of `key`: whoever just changed something sees it."""
    try:
        snapshot = take_snapshot(key, now=timezone.now())
    except NotFound as error:
        raise Http404(str(error)) from error
    live = {"snapshot": snapshot, "fragments": render_fragments(snapshot), "ttl_s": TTL_S, "page_key": key}
    response = render_page(request, template, {**context, **live}, status=status)
    response["Cache-Control"] = "no-store"
    return response
