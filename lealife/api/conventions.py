"""HTTP conventions for every address of the API: HEAD, ETags, and 405 answers that name the allowed methods."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import cast

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.middleware.http import ConditionalGetMiddleware

from lealife.api.problems import build_problem, on_malformed, on_too_big
from lealife.slashes import API


class Conventions:
    """Middleware for the addresses below `/api/`; all others pass through."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        # Compares weakly with `If-None-Match`, which is one ETag, a list of them, or `*`.
        self.get_conditionally = cast("Callable[[HttpRequest], HttpResponse]", ConditionalGetMiddleware(get_response))

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The API's answer."""
        if not request.path_info.startswith(API):
            return self.get_response(request)
        try:
            # Read the body before the CSRF check, which would parse it as a form and leave nothing to read.
            _ = request.body
        except RequestDataTooBig as error:
            return on_too_big(request, error)
        except UnreadablePostError as error:
            return on_malformed(request, error)
        if request.method != "HEAD":
            return finish_answer(self.get_conditionally(request))
        request.method = "GET"
        response = finish_answer(self.get_conditionally(request))
        request.method = "HEAD"
        response["Content-Length"] = str(len(response.content))
        response.content = b""
        return response


def finish_answer(response: HttpResponse) -> HttpResponse:
    """The answer with its caching rule. A method that the address does not take becomes a problem with `Allow`."""
    if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        methods = [name.strip() for name in response["Allow"].split(",")]
        if "GET" in methods:
            methods.append("HEAD")
        allowed = ", ".join(sorted(methods))
        response = build_problem(status=405, detail=f"This address takes {allowed}.")
        response["Allow"] = allowed
    if not response.has_header("Cache-Control"):
        response["Cache-Control"] = "private, no-cache"
    return response
