"""One address, however it is spelt: with the slash at its end or without, with one slash between its parts or two."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.urls import Resolver404, get_script_prefix, resolve
from django.utils.encoding import escape_uri_path

API = "/api/"
# What answers to every address that nothing else answers to: the API's “nothing here”, and admin's.
NOWHERE = {"api:nowhere", "admin:django.contrib.admin.sites.catch_all_view"}


class Spelling:
    """Middleware: serves what was meant. Only a GET of a page is redirected, so that no body is lost."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answers at the right address."""
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
    """The spelling of `path` that something answers to; `path` itself when nothing does."""
    single = re.sub("/{2,}", "/", path)
    other = single.removesuffix("/") if single.endswith("/") else f"{single}/"
    for spelling in (path, single, other):
        if is_known(spelling):
            return spelling
    # The API says what is wrong with an address in its own format.
    return single if single.startswith(API) else path


def is_known(path: str) -> bool:
    """Whether anything but a “nothing here” answers to the address."""
    try:
        return resolve(path).view_name not in NOWHERE
    except Resolver404:
        return False
