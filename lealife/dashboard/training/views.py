"""Views of the training page and of the list of training sources."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from lealife.dashboard.access import require_staff
from lealife.dashboard.forms import PresetForm, QueueForm
from lealife.dashboard.live.views import render_live
from lealife.dashboard.numbers import read_number
from lealife.dashboard.offers import render_page
from lealife.dashboard.training.draft import describe_draft
from lealife.dashboard.training.sources import read_sources
from training.runtime_settings import read_settings


@require_safe
@require_staff
def show_training(request: HttpRequest) -> HttpResponse:
    """`/training/`: the training page."""
    return render_training(request, form=QueueForm())


@require_safe
@require_staff
def list_sources(request: HttpRequest) -> HttpResponse:
    """`/training/sources/`: training sources by status and kind, older ones with `?before=`."""
    sources = read_sources(
        status=request.GET.get("status", ""),
        kind=request.GET.get("kind", ""),
        before=read_number(request.GET.get("before", "")),
    )
    return render_page(request, "training/sources.html", {"sources": sources})


def render_training(
    request: HttpRequest, *, form: QueueForm, presets: PresetForm | None = None, status: int = 200
) -> HttpResponse:
    """The training page with the forms as they stand, and this person's draft of the settings."""
    draft, selectors = describe_draft(request.session, row=read_settings())
    return render_live(
        request,
        "training/page.html",
        key="training",
        status=status,
        form=form,
        presets=presets or PresetForm(),
        draft=draft,
        selectors=selectors,
    )


def render_draft(request: HttpRequest) -> HttpResponse:
    """The pending changes alone."""
    draft, _ = describe_draft(request.session, row=read_settings())
    return render(request, "training/pending_changes.html", {"draft": draft})
