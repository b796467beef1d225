"""Finds the right address for spellings with or without a slash at the end, or with double slashes."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.urls import Resolver404, get_script_prefix, resolve
from django.utils.encoding import escape_uri_path

API = "/api/"
# Catch-all views, which answer every address that no other view answers: the API's “nothing here”, and admin's.
NOWHERE = {"api:nowhere", "admin:django.contrib.admin.sites.catch_all_view"}


class Spelling:
    """Middleware that serves the intended address. Only a GET of a page is redirected, so that no body is lost."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The answer of the right address."""
        asked, meant = request.path_info, find_spelling(request.path_info)
        if asked == meant:
            return self.get_response(request)
        if request.method in ("GET", "HEAD") and not meant.startswith(API):
            query = request.META.get("QUERY_STRING", "")
            address = escape_uri_path(get_script_prefix().rstrip("/") + meant)
            return HttpResponsePermanentRedirect(f"{address}?{query}" if query else address)
        request.path_info = meant
        return self.get_response(request)


def find_spelling(path: str) -> str:
    """The spelling of `path` for which there is a view; `path` itself when there is none."""
    single = re.sub("/{2,}", "/", path)
    other = single.removesuffix("/") if single.endswith("/") else f"{single}/"
    for spelling in (path, single, other):
        if is_known(spelling):
            return spelling
    # The API says what is wrong with an address in its own format.
    return single if single.startswith(API) else path


def is_known(path: str) -> bool:
    """Whether a view other than a catch-all answers the address."""
    try:
        return resolve(path).view_name not in NOWHERE
    except Resolver404:
        return False
