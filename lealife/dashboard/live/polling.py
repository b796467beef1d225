"""Polling, which a page uses while its socket is closed."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from lealife.core.actors import read_actor
from lealife.core.errors import NotFound, Refused
from lealife.dashboard.live.publisher import dump_fragments, publisher


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
        return refuse(error)
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


def refuse(error: Refused) -> JsonResponse:
    """A refusal as JSON."""
    return JsonResponse({"detail": str(error)}, status=error.status)
