"""Access to the pages: only signed-in staff may see them; others get a login form or a refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.urls import reverse

from lealife.core.actors import Action, Actor, read_actor
from lealife.core.errors import Forbidden, NotFound

View = Callable[..., HttpResponse]
Found = TypeVar("Found")


def require_staff(view: View) -> View:
    """Sends anonymous users to the login form; refuses (403) users who are not staff, and forbidden actions.

    What is not found is answered with 404.
    """

    @wraps(view)
    def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if not request.user.is_authenticated:
            if request.headers.get("X-Fragment"):
                # A script asked for a part of a page, and would put the login form in its place.
                return HttpResponse(status=401)
            return redirect_to_login(_find_way_back(request))
        if not request.user.is_staff:
            raise PermissionDenied(f"{request.user.get_username()} is not a member of staff.")
        try:
            return view(request, *args, **kwargs)
        except Forbidden as refused:
            raise PermissionDenied(str(refused)) from refused
        except NotFound as missing:
            raise Http404(str(missing)) from missing

    return guarded


def require_post(view: View) -> View:
    """For views that a button posts to: a GET of their address redirects to the page with the button."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if request.method == "POST":
            return view(request, *args, **kwargs)
        if request.method in ("GET", "HEAD"):
            return redirect("run", run_id=kwargs["run_id"]) if "run_id" in kwargs else redirect("training")
        return HttpResponseNotAllowed(["POST"])

    return guarded


def find_action(actions: Mapping[str, Found], name: str) -> Found:
    """What a page does under this name. Raises NotFound."""
    if name not in actions:
        raise NotFound(f"There is no action {name}.")
    return actions[name]


def require_action(request: HttpRequest, action: Action[..., Any]) -> Actor:
    """The user as an actor who may take the action. Raises Forbidden before anything is read; the action checks too."""
    by = read_actor(request)
    by.require(action.permission)
    return by


def show_lockout(request: HttpRequest, _response: HttpResponse | None, _credentials: object) -> HttpResponse:
    """The answer of both login forms to an address that has sent too many wrong passwords."""
    wait = settings.AXES_COOLOFF_TIME
    context = {"failures": settings.AXES_FAILURE_LIMIT, "minutes": int(wait.total_seconds() // 60)}
    response = render(request, "registration/locked.html", context, status=HTTPStatus.TOO_MANY_REQUESTS)
    response["Retry-After"] = str(int(wait.total_seconds()))
    return response


def _find_way_back(request: HttpRequest) -> str:
    """The page to show after signing in. A form that was sent before is not sent again; its page is shown."""
    if request.method in ("GET", "HEAD"):
        return request.get_full_path()
    sent_from = urlsplit(request.headers.get("Referer", ""))
    if sent_from.netloc != request.get_host():
        return reverse("training")
    return sent_from._replace(scheme="", netloc="", fragment="").geturl()
