"""Who may see the pages: signed-in staff."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

View = Callable[..., HttpResponse]


def require_staff(view: View) -> View:
    """Sends strangers to the login form and refuses (403) whoever is signed in without being staff."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if not request.user.is_authenticated:
            if request.headers.get("X-Fragment"):
                # A script asked for a part of a page, and would put the login form in its place.
                return HttpResponse(status=401)
            # What was sent is not sent again after signing in.
            back = request.get_full_path() if request.method in ("GET", "HEAD") else reverse("training")
            return redirect_to_login(back)
        if not request.user.is_staff:
            raise PermissionDenied("Pages are for staff.")
        return view(request, *args, **kwargs)

    return guarded
