"""The first answer of a live page, with the same fragments that the socket sends later."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone

from lealife.core.errors import NotFound
from lealife.dashboard.live.snapshot import TTL_S, render_fragments, take_snapshot
from lealife.dashboard.offers import render_page


def render_live(request: HttpRequest, template: str, *, key: str, status: int = 200, **context: Any) -> HttpResponse:
    """A page with a new snapshot of `key`, so that users see their own changes at once."""
    try:
        snapshot = take_snapshot(key, now=timezone.now())
    except NotFound as error:
        raise Http404(str(error)) from error
    live = {"snapshot": snapshot, "fragments": render_fragments(snapshot), "ttl_s": TTL_S, "page_key": key}
    response = render_page(request, template, {**context, **live}, status=status)
    response["Cache-Control"] = "no-store"
    return response
