"""Who may see the pages: signed-in staff."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from urllib.parse import urlsplit

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
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
            return redirect_to_login(_find_way_back(request))
        if not request.user.is_staff:
            raise PermissionDenied("Pages are for staff.")
        return view(request, *args, **kwargs)

    return guarded


def require_post(view: View) -> View:
    """For what a button sends: its address, opened by itself, leads to the page that has the button."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if request.method == "POST":
            return view(request, *args, **kwargs)
        if request.method in ("GET", "HEAD"):
            return redirect("run", run_id=kwargs["run_id"]) if "run_id" in kwargs else redirect("training")
        return HttpResponseNotAllowed(["POST"])

    return guarded


def _find_way_back(request: HttpRequest) -> str:
    """Where to go on after signing in. What was sent is not sent again: its page is shown."""
    if request.method in ("GET", "HEAD"):
        return request.get_full_path()
    sent_from = urlsplit(request.headers.get("Referer", ""))
    if sent_from.netloc != request.get_host():
        return reverse("training")
    return sent_from._replace(scheme="", netloc="", fragment="").geturl()
