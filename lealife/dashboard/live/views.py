"""Live pages as they are first sent, and polling, which a page uses while its socket is closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from lealife.core.actors import read_actor
from lealife.core.errors import NotFound
from lealife.dashboard.live.publisher import dump_fragments, publisher
from lealife.dashboard.live.snapshot import TTL_S, render_fragments, take_snapshot
from lealife.dashboard.offers import render_page


def render_live(
    request: HttpRequest,
    template: str,
    *,
    key: str,
    status: int = 200,
    typed: Mapping[str, str] | None = None,
    **context: Any,
) -> HttpResponse:
    """A page with a new snapshot of `key`, so that users see their own changes at once.

    `typed`: what a form of the page gave that was refused, by field.
    """
    snapshot = take_snapshot(key, now=timezone.now())
    live = {"snapshot": snapshot, "fragments": render_fragments(snapshot, typed=typed), "ttl_s": TTL_S, "page_key": key}
    response = render_page(request, template, {**context, **live}, status=status)
    response["Cache-Control"] = "no-store"
    return response


@require_safe
def poll_page(request: HttpRequest, key: str) -> HttpResponse:
    """`/live/{key}/?have=panel:fingerprint,…`: the fragments that differ; 304 when the page's ETag still holds.

    Answers 401 and 403 instead of a redirect, because the caller is a script.
    """
    if not request.user.is_authenticated:
        return JsonResponse({"detail": "Signed out."}, status=401)
    if not request.user.is_staff:
        return JsonResponse({"detail": f"{request.user.get_username()} is not a member of staff."}, status=403)
    try:
        snapshot = publisher.read_snapshot(key)
    except NotFound as error:
        return JsonResponse({"detail": str(error)}, status=error.status)
    etag = f'"{snapshot.fingerprint}"'
    # Compared weakly: a proxy that compresses makes a weak ETag of ours.
    response = get_conditional_response(request, etag=etag)
    if response is None:
        pairs = (part.partition(":") for part in request.GET.get("have", "").split(","))
        have = {name: fingerprint for name, _, fingerprint in pairs}
        response = JsonResponse(
            {
                "generated_at": snapshot.generated_at.isoformat(),
                "fingerprint": snapshot.fingerprint,
                "fragments": dump_fragments(snapshot, snapshot.changed_since(have), reader=read_actor(request)),
            }
        )
    response["ETag"] = etag
    response["X-Generated-At"] = snapshot.generated_at.isoformat()
    response["Cache-Control"] = "private, no-cache"
    return response
