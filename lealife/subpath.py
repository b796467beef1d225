"""The subpath that this process serves below, such as `/lea`: `FORCE_SCRIPT_NAME`, or `daphne --root-path`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.http import HttpRequest, HttpResponse
from django.urls import get_script_prefix, set_script_prefix

Application = Callable[..., Awaitable[None]]


class Mount:
    """ASGI middleware that sets every request's subpath, whether the proxy in front keeps it or removes it."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Sets the prefix that `reverse` and `{% static %}` use, for the WebSocket too."""
        if scope["type"] in ("http", "websocket"):
            root = str(settings.FORCE_SCRIPT_NAME or scope.get("root_path") or "").rstrip("/")
            path = scope["path"]
            if not f"{path}/".startswith(f"{root}/"):
                path = root + path
            scope = {**scope, "root_path": root, "path": path}
            set_script_prefix(f"{root}/")
        await self.application(scope, receive, send)


class MountedCookies:
    """Middleware that limits cookies to the subpath, so that two installations on one host name do not mix them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The answer, with the cookies' paths set."""
        response = self.get_response(request)
        for cookie in response.cookies.values():
            cookie["path"] = get_script_prefix()
        return response


class MountedStatic(StaticFilesStorage):
    """Static files, with addresses below the current request's subpath."""

    def url(self, name: str | None) -> str:
        return get_script_prefix().rstrip("/") + super().url(name)
