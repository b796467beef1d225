"""The view of the dashboard's home."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from lealife.dashboard.access import require_staff
from lealife.dashboard.forms import AskForm
from lealife.dashboard.live.views import render_live


@require_safe
@require_staff
def show_home(request: HttpRequest) -> HttpResponse:
    """`/`: the dashboard."""
    return render_live(request, "home/page.html", key="home", ask=AskForm())
