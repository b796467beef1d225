"""The success-check helper: says in plain words how a task would be judged, as it is typed."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from lealife.dashboard.access import require_post, require_staff
from lealife.dashboard.forms import QueueForm
from lealife.dashboard.pages import render_training


@require_post
@require_staff
def say_check(request: HttpRequest) -> HttpResponse:
    """Queues nothing. A script gets the sentences alone, a reader without scripts the page as it was typed."""
    form = QueueForm(request.POST)
    if request.headers.get("X-Fragment") == "check-words":
        return render(request, "parts/check_words.html", {"form": form})
    return render_training(request, form=form)
